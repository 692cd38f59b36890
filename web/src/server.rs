//! The HTTP server: one worker of actix's runtime, with bounds.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::web::{Data, PayloadConfig};
use actix_web::{App, HttpServer};

use crate::api;
use crate::events::Streams;
use crate::guard::{OnLoopback, guard};
use crate::observatory::Observatory;
use crate::service::Service;

/// Connections at once: some pages, some scrapers, and room.
const CONNECTIONS: usize = 64;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 64;
/// A client that takes longer to say what it wants is let go.
const REQUEST: Duration = Duration::from_secs(5);
/// A connection on which nothing is asked is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// No route takes a body; what comes all the same is not read further. Bytes.
const LONGEST_BODY: usize = 1024;
/// Threads that make pages and metrics.
const RENDERERS: usize = 2;

/// An address that cannot be listened at.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at `{address}`")]
pub struct ListenError {
    address: String,
    #[source]
    cause: io::Error,
}

/// A server that listens. Dropped, it goes on; see [`Listening::stop`].
pub struct Listening {
    handle: ServerHandle,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
}

/// Serves at `address`, `host:port`.
///
/// # Errors
/// The address is taken, not of this host, or not to be resolved.
pub async fn listen<S: Service>(address: &str, observatory: &Arc<Observatory<S>>) -> Result<Listening, ListenError> {
    let failed = |cause| ListenError {
        address: address.to_owned(),
        cause,
    };
    // A name may take its time to be resolved.
    let found = tokio::net::lookup_host(address).await.map_err(failed)?;
    start(&found.collect::<Vec<_>>(), observatory).map_err(failed)
}

fn start<S: Service>(found: &[SocketAddr], observatory: &Arc<Observatory<S>>) -> io::Result<Listening> {
    let on_loopback = OnLoopback(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()));
    let (observatory, streams) = (Arc::clone(observatory), Data::new(Streams::new()));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(api::data(Arc::clone(&observatory)))
            .app_data(streams.clone())
            .app_data(Data::new(on_loopback))
            .app_data(PayloadConfig::new(LONGEST_BODY))
            .configure(api::routes::<S>)
            .wrap(from_fn(guard))
    });
    // Several services of one host must not share a port without noticing: no SO_REUSEPORT.
    let server = server
        .workers(1)
        .worker_max_blocking_threads(RENDERERS)
        .max_connections(CONNECTIONS)
        .backlog(BACKLOG)
        .client_request_timeout(REQUEST)
        .keep_alive(KEEP_ALIVE)
        // Else an event stream whose client is gone keeps its seat until something can no longer be written to it.
        .h1_allow_half_closed(false)
        .disable_signals()
        .shutdown_timeout(0)
        .bind(found)?;
    let addresses = server.addrs();
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(Listening { handle, addresses })
}

impl Listening {
    /// Closes it with all its connections.
    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}
