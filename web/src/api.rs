//! The routes.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::web::{self, Data, Query, ServiceConfig};
use actix_web::{HttpResponse, Resource, Responder};
use logcatch_actors::{Report, verdict};
use serde::Serialize;
use serde_json::json;

use crate::events::{self, Streams};
use crate::history::Sample;
use crate::observatory::{Observatory, PACE};
use crate::query::{Asked, BadQuery, Filter};
use crate::service::Service;
use crate::{metrics, page};

const TEXT: &str = "text/plain; charset=utf-8";

/// Adds all routes. None of them changes anything, and none takes a body.
pub fn routes<S: Service>(config: &mut ServiceConfig) {
    config
        .service(get("/", web::get().to(index::<S>)))
        .service(get("/api/v1/status", web::get().to(status::<S>)))
        .service(get("/api/v1/files", web::get().to(files::<S>)))
        .service(get("/api/v1/history", web::get().to(history::<S>)))
        .service(get("/api/v1/events", web::get().to(stream::<S>)))
        .service(get("/metrics", web::get().to(metrics::<S>)))
        .service(get("/health/live", web::get().to(live::<S>)))
        .service(get("/health/ready", web::get().to(ready::<S>)));
    for asset in page::ASSETS {
        config.service(get(asset.path, web::get().to(move || async move { asset.answer() })));
    }
}

/// What is there to GET is there to HEAD, too.
fn get(path: &str, route: actix_web::Route) -> Resource {
    web::resource(path)
        .route(route)
        .route(web::head().to(|| async { HttpResponse::Ok().finish() }))
}

async fn index<S: Service>(observatory: Data<Observatory<S>>, asked: Query<Asked>) -> HttpResponse {
    let filter = match Filter::try_from(asked.into_inner()) {
        Ok(filter) => filter,
        Err(error) => return refused(&error),
    };
    let snapshot = observatory.now().await;
    let (history, happened) = (observatory.history().await, observatory.events(0));
    let page = off_thread(move || page::whole(&page::View::new(&snapshot, &history, &happened, &filter)));
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(page.await)
}

/// What `logcatch status --json` prints, and the verdict.
async fn status<S: Service>(observatory: Data<Observatory<S>>) -> HttpResponse {
    #[derive(Serialize)]
    struct Status<'a> {
        verdict: String,
        remarks: Vec<String>,
        #[serde(flatten)]
        report: &'a Report,
    }
    let snapshot = observatory.now().await;
    let text = off_thread(move || {
        serde_json::to_string(&Status {
            verdict: verdict::sentence(&snapshot.report),
            remarks: verdict::remarks(&snapshot.report),
            report: &snapshot.report,
        })
    });
    match text.await {
        Ok(text) => HttpResponse::Ok().content_type("application/json").body(text),
        Err(error) => broken(&error),
    }
}

async fn files<S: Service>(observatory: Data<Observatory<S>>, asked: Query<Asked>) -> HttpResponse {
    let filter = match Filter::try_from(asked.into_inner()) {
        Ok(filter) => filter,
        Err(error) => return refused(&error),
    };
    let snapshot = observatory.now().await;
    let text = off_thread(move || serde_json::to_string(&filter.rows(&snapshot.report.files)));
    match text.await {
        Ok(text) => HttpResponse::Ok().content_type("application/json").body(text),
        Err(error) => broken(&error),
    }
}

async fn history<S: Service>(observatory: Data<Observatory<S>>) -> impl Responder {
    #[derive(Serialize)]
    struct Answer {
        interval_seconds: u64,
        samples: Vec<Sample>,
    }
    web::Json(Answer {
        interval_seconds: PACE.as_secs(),
        samples: observatory.history().await,
    })
}

async fn stream<S: Service>(
    observatory: Data<Observatory<S>>,
    streams: Data<Streams>,
    wanted: Query<events::Wanted>,
    asked: Query<Asked>,
) -> HttpResponse {
    let filter = match Filter::try_from(asked.into_inner()) {
        Ok(filter) => filter,
        Err(error) => return refused(&error),
    };
    match streams.enter() {
        Some(seat) => events::answer(observatory.into_inner(), wanted.into_inner(), filter, seat),
        None => HttpResponse::ServiceUnavailable()
            .insert_header((header::RETRY_AFTER, "10"))
            .content_type(TEXT)
            .body("cannot stream: as many as are allowed look already\n"),
    }
}

async fn metrics<S: Service>(observatory: Data<Observatory<S>>) -> HttpResponse {
    let snapshot = observatory.now().await;
    match off_thread(move || metrics::text(&snapshot)).await {
        Ok(text) => HttpResponse::Ok().content_type(prometheus::TEXT_FORMAT).body(text),
        Err(error) => broken(&error),
    }
}

/// Whether the actors answer.
async fn live<S: Service>(observatory: Data<Observatory<S>>) -> HttpResponse {
    health(&observatory.silent().await)
}

/// Whether the service does what its settings say, or would if Kafka had not gone since.
async fn ready<S: Service>(observatory: Data<Observatory<S>>) -> HttpResponse {
    let snapshot = observatory.now().await;
    let wanting = [
        (
            !snapshot.were_in_force,
            "the settings are refused; those before are in force",
        ),
        (!snapshot.reached_kafka, "Kafka was not reached yet"),
        (!snapshot.were_open, "positions are not open yet"),
    ];
    let wanting: Vec<_> = wanting.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
    health(&wanting)
}

fn health(wanting: &[&str]) -> HttpResponse {
    if wanting.is_empty() {
        return HttpResponse::Ok().json(json!({ "status": "ok" }));
    }
    HttpResponse::ServiceUnavailable().json(json!({ "status": "failing", "wanting": wanting }))
}

fn refused(error: &BadQuery) -> HttpResponse {
    HttpResponse::BadRequest().content_type(TEXT).body(format!("{error}\n"))
}

fn broken(error: &dyn std::fmt::Display) -> HttpResponse {
    log::error!(cause:% = error; "cannot answer a request of the status page");
    HttpResponse::InternalServerError()
        .content_type(TEXT)
        .body("cannot answer: the log says why\n")
}

/// Thousands of rows take milliseconds, in which health would not be answered.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // A panic ends this request, not more.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Makes the observatory known to the routes.
pub fn data<S: Service>(observatory: Arc<Observatory<S>>) -> Data<Observatory<S>> {
    Data::from(observatory)
}
