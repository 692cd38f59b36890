//! What the page loads: files of its own, built in.

use actix_web::HttpResponse;
use actix_web::http::header;

/// A file that the page loads.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Where it is.
    pub path: &'static str,
    kind: &'static str,
    content: &'static str,
}

/// All of them.
pub const ASSETS: [Asset; 3] = [
    Asset {
        path: "/assets/page.css",
        kind: "text/css; charset=utf-8",
        content: include_str!("../../assets/page.css"),
    },
    Asset {
        path: "/assets/page.js",
        kind: "text/javascript; charset=utf-8",
        content: include_str!("../../assets/page.js"),
    },
    Asset {
        path: "/assets/icon.svg",
        kind: "image/svg+xml",
        content: include_str!("../../assets/icon.svg"),
    },
];

impl Asset {
    /// The file.
    pub fn answer(self) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, self.kind))
            .body(self.content)
    }
}
