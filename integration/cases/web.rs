//! The status page, its API, its metrics and its health: of the real binary, asked as anybody may.

mod browser;
mod deploy;
mod metrics;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use super::control::{ok, row};
use super::fixture::Fixture;
use crate::harness::case::{self, Case, cases};
use crate::harness::eventually::{eventually, when};
use crate::harness::http::{Page, THERE};
use crate::harness::kafka;
use crate::harness::service::{Host, NO_PAGE};

cases![
    web_health_tells_life_from_readiness_and_an_outage_turns_neither,
    web_a_port_in_use_is_reported_shipping_goes_on_and_the_page_comes_when_it_is_free,
    web_the_page_goes_where_the_settings_say_and_away,
    web_hostile_file_names_are_text,
    web_foreign_names_and_other_methods_are_refused_and_answers_are_protected,
    web_status_by_url_says_what_the_socket_says,
    web_events_tell_what_happens,
    web_files_are_filtered_and_cut_by_the_server,
    web_connections_that_ask_nothing_keep_nobody_out_for_long,
    web_secrets_are_in_no_answer,
];

/// The tests of this module and those below.
pub fn all() -> impl Iterator<Item = &'static Case> {
    let groups = [CASES, metrics::CASES, deploy::CASES, browser::CASES];
    groups.into_iter().flatten()
}

/// A page on a port that is free.
pub(super) const ANY: &str = "web = { listen = \"127.0.0.1:0\" }";

/// The settings of the host with this line for the page.
pub(super) fn with_page(host: &Host, web: &str) {
    let settings = fs::read_to_string(host.settings_path()).unwrap();
    assert!(settings.contains(NO_PAGE), "{settings}");
    host.settings(&settings.replace(NO_PAGE, web));
}

fn web_health_tells_life_from_readiness_and_an_outage_turns_neither() {
    if !cfg!(debug_assertions) {
        case::skip("fault points are in debug builds only");
    }
    let broker = kafka::private("health");
    let mut fixture = Fixture::on(&broker, "health", "");
    fixture.host = fixture.host.with_env("LOGCATCH_FAULT_DIR", "faults");
    fs::create_dir(fixture.host.path("faults")).unwrap();
    with_page(&fixture.host, ANY);
    let mut log = fixture.log("logs/app.log");
    log.write(10);
    broker.kill();
    let service = fixture.host.start();
    let page = Page::of(&service);
    let health = |path: &str, status: u16| {
        eventually(&format!("{path} is {status}"), || {
            let answer = page.get(path);
            when(answer.status == status, || format!("{answer:?}")).map(|()| answer.body)
        })
    };
    health("/health/live", 200);
    assert!(health("/health/ready", 503).contains("Kafka was not reached yet"));
    broker.start_again();
    health("/health/ready", 200);
    fixture.caught_up();
    broker.kill();
    eventually("the outage shows", || {
        when(page.metric("logcatch_kafka_up") == 0.0, || "up".to_owned())
    });
    health("/health/ready", 200);
    health("/health/live", 200);
    broker.start_again();
    let hang = fixture.host.path("faults/hang-kafka");
    fs::write(&hang, "").unwrap();
    assert!(health("/health/live", 503).contains("kafka"));
    fs::remove_file(&hang).unwrap();
    health("/health/live", 200);
    fixture.finish(service);
}

fn web_a_port_in_use_is_reported_shipping_goes_on_and_the_page_comes_when_it_is_free() {
    let mut fixture = Fixture::new("taken");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    with_page(&fixture.host, &format!("web = {{ listen = \"{address}\" }}"));
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    service.wait_log(&format!(
        "cannot listen at `{address}`: no status page and no metrics there"
    ));
    fixture.caught_up();
    drop(taken);
    assert_eq!(Page::of(&service).get("/health/live").status, 200);
    fixture.finish(service);
}

fn web_the_page_goes_where_the_settings_say_and_away() {
    let mut fixture = Fixture::new("moves");
    let mut log = fixture.log("logs/app.log");
    log.write(10);
    let none = fs::read_to_string(fixture.host.settings_path()).unwrap();
    let service = fixture.host.start();
    assert!(!service.log().contains(THERE));
    with_page(&fixture.host, ANY);
    let first = Page::of(&service);
    assert!(!first.text("/metrics").contains("logcatch_file_size_bytes"));
    let second = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let web = format!("web = {{ listen = \"{second}\", file_metrics = true }}");
    fixture.host.settings(&none.replace(NO_PAGE, &web));
    service.wait_log(&format!("{THERE}{second}"));
    let page = Page::of(&service);
    fixture.caught_up();
    let size = fs::metadata(log.path()).unwrap().len() as f64;
    let of = format!(
        "{{log=\"{0}\",path=\"{1}\"}}",
        fixture.host.path("logs/*.log").display(),
        log.path().display()
    );
    eventually("the file's metrics tell its position", || {
        let position = page.metric(&format!("logcatch_file_position_bytes{of}"));
        when(position == size, || position.to_string())
    });
    assert_eq!(page.metric(&format!("logcatch_file_size_bytes{of}")), size);
    assert!(TcpStream::connect(&first.address).is_err(), "still there");
    fixture.host.settings(&none);
    service.wait_log_count("the status page is closed there", 2);
    assert!(TcpStream::connect(second).is_err(), "still there");
    fixture.finish(service);
}

fn web_hostile_file_names_are_text() {
    const NAME: &str = "<img src=x onerror=alert(1)>\"'&.log";
    let fixture = Fixture::new("hostile");
    with_page(&fixture.host, ANY);
    let path = fixture.host.path("logs").join(NAME);
    fs::write(&path, "one\n").unwrap();
    let service = fixture.host.start();
    let page = Page::of(&service);
    let mut reader = fixture.reader;
    reader.until_count(1);
    // The line may arrive before the page has been made anew.
    eventually("the page has the file", || {
        let html = page.text("/");
        when(
            html.contains("&lt;img src=x onerror=alert(1)&gt;&quot;'&amp;.log"),
            || html,
        )
    });
    let html = page.text("/");
    assert!(!html.contains("<img"), "{html}");
    let query = "/?q=%3Cscript%3Ealert(2)%3C/script%3E&log=%22%3E%3Cscript%3E";
    assert!(!page.text(query).contains("<script>"));
    let rows = page.json("/api/v1/files");
    assert_eq!(rows["files"][0]["path"], path.display().to_string());
    service.stop();
}

fn web_foreign_names_and_other_methods_are_refused_and_answers_are_protected() {
    let fixture = Fixture::new("foreign");
    with_page(&fixture.host, ANY);
    let service = fixture.host.start();
    let page = Page::of(&service);
    let port = page.address.rsplit(':').next().unwrap();
    for path in [
        "/",
        "/metrics",
        "/api/v1/status",
        "/api/v1/events",
        "/health/live",
        "/nothing",
    ] {
        let foreign = page.ask("GET", path, &format!("rebound.example:{port}"));
        assert_eq!(foreign.status, 403, "{path}: {foreign:?}");
        for host in [format!("localhost:{port}"), "[::1]".to_owned(), "127.0.0.1".to_owned()] {
            let ours = page.ask("HEAD", path, &host);
            let expected = if path == "/nothing" { 404 } else { 200 };
            assert_eq!(ours.status, expected, "{path} {host}: {ours:?}");
            assert_eq!(ours.body, "");
        }
        for method in ["POST", "PUT", "DELETE"] {
            let answer = page.ask(method, path, &page.address);
            assert!(
                answer.status == 405 || path == "/nothing",
                "{method} {path}: {answer:?}"
            );
        }
        let answer = page.ask("HEAD", path, &page.address).head;
        for header in [
            "content-security-policy: default-src 'none';",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(answer.contains(header), "{header} in {answer}");
        }
    }
    // Nothing is loaded from elsewhere, and nothing is in the page that its policy forbids.
    let html = page.text("/");
    assert!(!html.contains("//") || !html.contains("src=\"http"), "{html}");
    assert!(!html.contains(" style=\"") && !html.contains("<style"), "{html}");
    for asset in ["/assets/page.css", "/assets/page.js", "/assets/icon.svg"] {
        assert!(html.contains(&asset[1..]) && page.get(asset).status == 200, "{asset}");
    }
    service.stop();
}

fn web_status_by_url_says_what_the_socket_says() {
    let mut fixture = Fixture::new("by-url");
    with_page(&fixture.host, ANY);
    let mut log = fixture.log("logs/app.log");
    log.write(10);
    let service = fixture.host.start();
    let page = Page::of(&service);
    fixture.caught_up();
    eventually("the file is idle", || {
        let row = row(&fixture.host, log.path());
        when(row["state"] == "idle", || row.to_string())
    });
    let path = log.path().display().to_string();
    let url = format!("http://{}/", page.address);
    eventually("both say the same", || {
        let by_socket = ok(&fixture.host, &["status", &path]);
        let by_url = ok(&fixture.host, &["status", &path, "--url", &url]);
        let without_rate = |text: &str| text.replace(|char: char| char.is_ascii_digit(), "");
        when(without_rate(&by_socket) == without_rate(&by_url), || {
            format!("{by_socket}\n{by_url}")
        })
    });
    let verdict = page.json("/api/v1/status")["verdict"].as_str().unwrap().to_owned();
    assert!(verdict.starts_with("keeping up: 1 of 1 file"), "{verdict}");
    let output = fixture.host.run(&["status", "nonsense", "--url", &page.address]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("cannot show `nonsense`"), "{output:?}");
    service.stop();
    let output = fixture.host.run(&["status", "--url", &url]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(
        output.stderr.contains("error: cannot read `http://127.0.0.1:"),
        "{output:?}"
    );
    assert!(output.stderr.contains("help: "), "{output:?}");
}

fn web_events_tell_what_happens() {
    let mut fixture = Fixture::new("events");
    with_page(&fixture.host, ANY);
    let mut log = fixture.log("logs/app.log");
    log.write(10);
    let service = fixture.host.start();
    let page = Page::of(&service);
    fixture.caught_up();
    let good = fs::read_to_string(fixture.host.settings_path()).unwrap();
    let refused = page.stream_until(
        "/api/v1/events",
        |line| line.contains("settings-refused"),
        || fixture.host.settings(&good.replace("topic = ", "topci = ")),
    );
    assert!(refused.contains("topci"), "{refused}");
    let html = page.text("/");
    assert!(html.contains("The settings file was refused"), "{html}");
    assert!(html.contains("logcatch.toml:"), "its line: {html}");
    let applied = |line: &str| line.contains("settings-applied");
    page.stream_until("/api/v1/events", applied, || {
        fixture.host.settings(&format!("{good}ignore_older = \"7d\"\n"));
    });
    assert!(!page.text("/").contains("The settings file was refused"));
    let restarted = |line: &str| line.contains("watcher-restarted") && line.contains("app.log");
    page.stream_until("/api/v1/events", restarted, || {
        ok(&fixture.host, &["restart", &log.path().display().to_string()]);
    });
    let [renamed, cut] = ["rename", "truncate"].map(|kind| {
        format!(
            "logcatch_rotations_total{{log=\"{}\",kind=\"{kind}\"}}",
            fixture.host.path("logs/*.log").display()
        )
    });
    assert_eq!((page.metric(&renamed), page.metric(&cut)), (0.0, 0.0));
    drop(log.rename_to(&fixture.host.path("logs/app.log.1")));
    log.write(10);
    fixture.caught_up();
    eventually("the rename counts", || {
        let seen = (page.metric(&renamed), page.metric(&cut));
        when(seen == (1.0, 0.0), || format!("{seen:?}"))
    });
    log.copy_and_truncate(&fixture.host.path("logs/app.log.2"));
    log.write(3);
    fixture.caught_up();
    eventually("the truncation counts", || {
        let seen = (page.metric(&renamed), page.metric(&cut));
        when(seen == (1.0, 1.0), || format!("{seen:?}"))
    });
    let reloads = |result: &str| page.metric(&format!("logcatch_settings_reloads_total{{result=\"{result}\"}}"));
    assert_eq!((reloads("applied"), reloads("refused")), (1.0, 1.0));
    fixture.finish(service);
}

fn web_files_are_filtered_and_cut_by_the_server() {
    let mut fixture = Fixture::new("rows");
    with_page(&fixture.host, ANY);
    for number in 0..300 {
        fs::write(fixture.host.path(format!("logs/quiet-{number:03}.log")), "").unwrap();
    }
    let mut log = fixture.log("logs/app.log");
    log.write(10);
    let service = fixture.host.start();
    let page = Page::of(&service);
    fixture.caught_up();
    eventually("all files are watched", || {
        let rows = page.json("/api/v1/files");
        when(rows["total"] == 301, || rows["total"].to_string())
    });
    let count = |path: &str| {
        let rows = page.json(path);
        (
            rows["matched"].as_u64().unwrap(),
            rows["files"].as_array().unwrap().len(),
        )
    };
    assert_eq!(count("/api/v1/files"), (301, 200));
    assert_eq!(count("/api/v1/files?limit=7"), (301, 7));
    assert_eq!(count("/api/v1/files?q=quiet-01"), (10, 10));
    assert_eq!(count("/api/v1/files?state=failed"), (0, 0));
    let first = page.json("/api/v1/files?sort=path&limit=1");
    assert_eq!(first["files"][0]["path"], log.path().display().to_string());
    assert_eq!(page.get("/api/v1/files?sort=size").status, 400);
    assert_eq!(page.text("/").matches("<tr id=\"file-").count(), 200);
    service.stop();
}

fn web_connections_that_ask_nothing_keep_nobody_out_for_long() {
    const MANY: usize = 200;
    let mut fixture = Fixture::new("silent");
    with_page(&fixture.host, ANY);
    let mut log = fixture.log("logs/app.log");
    log.write(10);
    let service = fixture.host.start();
    let page = Page::of(&service);
    let before = service.resources().handles;
    let silent: Vec<_> = (0..MANY).map(|_| TcpStream::connect(&page.address).unwrap()).collect();
    log.write(10);
    fixture.caught_up();
    let open = service.resources().handles - before;
    assert!(open < MANY, "{open} are open at once");
    // It waits until some of those are let go.
    assert_eq!(page.get("/health/live").status, 200);
    drop(silent);
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    let mut answer = Vec::new();
    let mut stream = TcpStream::connect(&page.address).unwrap();
    // It may be hung up on at any byte.
    let _ = stream
        .write_all(long.as_bytes())
        .and_then(|()| stream.read_to_end(&mut answer));
    assert!(
        !answer.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    drop(stream);
    eventually("the handles are given back", || {
        let open = service.resources().handles;
        when(open <= before + 5, || format!("{open}, before {before}"))
    });
    // A stream under way holds nobody up who ends the service.
    page.stream_until("/api/v1/events?page=1", |line| line.contains("section"), || ());
    fixture.finish(service);
}

fn web_secrets_are_in_no_answer() {
    let mut fixture = Fixture::new("secrets");
    fs::write(fixture.host.path("password"), "from-a-file\n").unwrap();
    let settings = fs::read_to_string(fixture.host.settings_path()).unwrap();
    let secrets = "[kafka.properties]\nssl.key.password = \"hunter2\"\nclient.rack = \"${file:password}\"\n[state]";
    fixture
        .host
        .settings(&settings.replace(NO_PAGE, ANY).replace("[state]", secrets));
    let mut log = fixture.log("logs/app.log");
    log.write(10);
    let service = fixture.host.start();
    let page = Page::of(&service);
    fixture.caught_up();
    // Settings that apply later are shown as those at start are.
    let good = fs::read_to_string(fixture.host.settings_path()).unwrap();
    fixture
        .host
        .settings(&good.replace("client.rack", "client.id = \"other\"\nclient.rack"));
    eventually("the new settings show", || {
        let html = page.text("/");
        let is_shown = html.contains("client.id") && html.contains("***");
        when(is_shown, || html)
    });
    for path in ["/", "/api/v1/status", "/api/v1/files", "/metrics"] {
        let text = page.text(path);
        assert!(
            !text.contains("hunter2") && !text.contains("from-a-file"),
            "{path}: {text}"
        );
        assert!(!text.contains("lorem ipsum"), "the contents of a line in {path}");
    }
    fixture.finish(service);
}
