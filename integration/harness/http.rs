//! The status page of a service, asked as any client may: a request a connection, in plain text.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use super::eventually::DEADLINE;
use super::service::Service;

/// What the service says when its page is there; an address follows.
pub const THERE: &str = "the status page is there url=http://";

/// Where a service listens.
pub struct Page {
    /// `host:port`.
    pub address: String,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// As they came.
    pub head: String,
    pub body: String,
}

impl Page {
    /// The page that the service opened last.
    pub fn of(service: &Service) -> Page {
        service.wait_log(THERE);
        let log = service.log();
        let address = log.rsplit(THERE).next().and_then(|rest| rest.split('/').next());
        Page {
            address: address.unwrap_or_default().to_owned(),
        }
    }

    /// Answers to GET.
    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &self.address)
    }

    /// The body of what must succeed.
    pub fn text(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    /// The same as JSON.
    pub fn json(&self, path: &str) -> Value {
        let text = self.text(path);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// The value of a sample of the metrics, labels in their order included.
    pub fn metric(&self, sample: &str) -> f64 {
        let text = self.text("/metrics");
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("no `{sample}` in\n{text}"));
        value.parse().unwrap()
    }

    /// Any method, under any name of the host.
    pub fn ask(&self, method: &str, path: &str, host: &str) -> Answer {
        let mut stream = self.request(method, path, host);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {text}"));
        let status = head.split(' ').nth(1).unwrap_or_default();
        Answer {
            status: status.parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// Reads the event stream until a line of it is as wanted; gives that line.
    pub fn stream_until(&self, path: &str, wanted: impl Fn(&str) -> bool, meanwhile: impl FnOnce()) -> String {
        let mut lines = BufReader::new(self.request("GET", path, &self.address)).lines();
        let mut next = || lines.next().expect("the stream goes on").unwrap();
        while !next().starts_with("data:") {}
        meanwhile();
        loop {
            let line = next();
            if wanted(&line) {
                return line;
            }
        }
    }

    /// Begins to read the event stream; the status of the answer, and what keeps the stream open.
    pub fn stream(&self) -> (u16, TcpStream) {
        let stream = self.request("GET", "/api/v1/events", &self.address);
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap_or_default();
        (status.parse().unwrap(), stream)
    }

    fn request(&self, method: &str, path: &str, host: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }
}
