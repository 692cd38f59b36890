//! Handing tokens to clients.

use std::ffi::{CString, c_char};
use std::time::SystemTime;

use rdkafka::client::{Client, ClientContext};

use super::{rd_kafka_oauthbearer_set_token, text};
use crate::error::Code;
use crate::oidc::Token;

/// Logs in with this token from now on. Before its life is over, the client asks for another.
pub(crate) fn set_token<C: ClientContext>(
    client: &Client<C>,
    token: &Token,
    extensions: &[(String, String)],
) -> Result<(), String> {
    let c_text = |text: &str| CString::new(text).map_err(|_| "the token is no text".to_owned());
    let until = (SystemTime::now() + token.lifetime).duration_since(SystemTime::UNIX_EPOCH);
    let until = i64::try_from(until.unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
    let (value, whose) = (c_text(&token.value)?, c_text(&token.client)?);
    let extensions = extensions.iter().flat_map(|(name, value)| [name, value]);
    let extensions: Vec<CString> = extensions.map(|text| c_text(text)).collect::<Result<_, _>>()?;
    let mut pointers: Vec<*const c_char> = extensions.iter().map(|text| text.as_ptr()).collect();
    let mut why = [0; 512];
    // SAFETY: the client is alive; all texts are, too, and are copied; the error is written within its buffer.
    let error = unsafe {
        rd_kafka_oauthbearer_set_token(
            client.native_ptr(),
            value.as_ptr(),
            until,
            whose.as_ptr(),
            pointers.as_mut_ptr(),
            pointers.len(),
            why.as_mut_ptr(),
            why.len(),
        )
    };
    if error == Code::NONE.0 {
        return Ok(());
    }
    // SAFETY: the library ends what it writes with a zero.
    Err(format!("the token cannot be used: {}", unsafe { text(why.as_ptr()) }))
}
