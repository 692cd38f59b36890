//! librdkafka's own list of its properties.

use std::{ptr, slice};

use rdkafka::bindings as c;

/// The list as text: what CONFIGURATION.md says of the version that is built in. Empty where there is no memory for it.
pub(crate) fn list() -> String {
    let (mut text, mut size) = (ptr::null_mut(), 0);
    // SAFETY: the stream writes to a buffer that it allocates, and tells of it in the two variables, which outlive it. Closed, it
    // leaves the buffer to us, with so many bytes written; it is copied before it is freed.
    unsafe {
        let stream = libc::open_memstream(&raw mut text, &raw mut size);
        if stream.is_null() {
            return String::new();
        }
        c::rd_kafka_conf_properties_show(stream);
        let is_whole = libc::fclose(stream) == 0;
        let bytes = if text.is_null() || !is_whole {
            &[]
        } else {
            slice::from_raw_parts(text.cast::<u8>(), size)
        };
        let list = String::from_utf8_lossy(bytes).into_owned();
        libc::free(text.cast());
        list
    }
}
