//! The page in a real browser.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{ANY, with_page};
use crate::cases::fixture::Fixture;
use crate::harness::browser::Browser;
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::http::Page;
use crate::harness::kafka;

cases![
    web_the_page_lives_in_a_browser,
    web_a_page_that_nobody_sees_holds_no_event_stream,
];

/// Where pictures of the page go, for eyes.
const PICTURES: &str = "LOGCATCH_PICTURES";

/// The text of the row of a file whose path ends so.
fn cell(file: &str, label: &str) -> String {
    format!(
        "[...document.querySelectorAll('#files tbody tr')].filter(row => row.innerText.includes('{file}'))\
         .map(row => row.querySelector('[data-label=\"{label}\"]').innerText)[0]"
    )
}

fn says(section: &str, text: &str) -> String {
    format!(
        "(document.getElementById('{section}')?.innerText ?? '').includes({})",
        serde_json::json!(text)
    )
}

fn web_the_page_lives_in_a_browser() {
    let mut browser = Browser::start();
    let broker = kafka::private("browser");
    let mut fixture = Fixture::on(&broker, "browser", "name = \"app\"");
    with_page(&fixture.host, ANY);
    let mut log = fixture.log("logs/app.log");
    log.write(100);
    let service = fixture.host.start();
    let page = Page::of(&service);
    fixture.caught_up();

    browser.shown(1280, 1400, false);
    browser.open(&format!("http://{}/", page.address));
    browser.until("the page is there", &says("verdict", "keeping up: 1 of 1 file"));
    browser.value("window.sameDocument = true");

    // A file appears, and a row that is open stays so while the page is renewed.
    browser.value("document.querySelector('#files details').open = true");
    let mut new = fixture.log("logs/new.log");
    new.write(10);
    browser.until(
        "the new file has a row",
        &format!(
            "{} === 'idle'",
            cell("new.log", "State").replace(".innerText)", ".innerText.replace(/[^a-z]/g, ''))")
        ),
    );
    browser.until("the lines are in the account", &says("account", "110"));
    let open = "[...document.querySelectorAll('#files details')].filter(one => one.open).map(one => one.innerText)";
    let opened = browser.value(open);
    assert_eq!(opened.as_array().map(Vec::len), Some(1), "{opened}");
    assert!(opened[0].as_str().unwrap().contains("app.log"), "{opened}");

    // The server filters while somebody types.
    browser.value(
        "document.querySelector('[name=q]').value = 'new'; \
         document.querySelector('[name=q]').dispatchEvent(new Event('input', { bubbles: true }))",
    );
    let rows = "document.querySelectorAll('#files tbody tr').length";
    browser.until("only the file that is looked for", &format!("{rows} === 1"));
    browser.value(
        "document.querySelector('[name=q]').value = ''; \
         document.querySelector('[name=q]').dispatchEvent(new Event('input', { bubbles: true }))",
    );
    browser.until("all files again", &format!("{rows} === 2"));

    // Kafka goes: the lag grows while one looks.
    broker.kill();
    log.write(100);
    browser.until("the outage shows", &says("verdict", "waiting for Kafka"));
    let age = format!("parseFloat({})", cell("app.log", "Age"));
    browser.until("a lag", &format!("{age} > 0"));
    let first = browser.value(&age).as_f64().unwrap();
    browser.until("it grows", &format!("{age} > {}", first + 2.0));
    browser.until("the outage is told", &says("events", "Kafka away"));
    assert!(
        browser
            .value("document.title")
            .as_str()
            .unwrap()
            .contains("waiting for Kafka")
    );

    // Settings that are no good: what, and where.
    let good = fs::read_to_string(fixture.host.settings_path()).unwrap();
    fixture.host.settings(&good.replace("topic = ", "topci = "));
    browser.until("the refusal shows", &says("facts", "`kafka.topci` is not a known key"));
    browser.until("and its place", &says("facts", "logcatch.toml:5"));
    fixture.host.settings(&good);
    browser.until("it is gone", &format!("!{}", says("facts", "topci")));

    broker.start_again();
    fixture.caught_up();
    browser.until("all is well", &says("verdict", "keeping up: 2 of 2 files"));
    assert_eq!(browser.value("window.sameDocument"), true, "the page was loaded again");

    for (width, dark) in [(1280, false), (1280, true), (400, false), (400, true)] {
        browser.shown(width, 1400, dark);
        let wide = browser.value("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= u64::from(width), "{wide} of {width}");
        keep(
            &browser.picture(),
            &format!("{width}-{}.png", if dark { "dark" } else { "light" }),
        );
    }
    browser.without_scripts();
    browser.open(&format!("http://{}/?q=new&sort=path", page.address));
    browser.until("the server filters for one without scripts", &format!("{rows} === 1"));
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
    fixture.finish(service);
}

/// The service has 16 seats for event streams: how many are free tells how many streams the page holds.
fn web_a_page_that_nobody_sees_holds_no_event_stream() {
    const SEATS: usize = 16;
    let mut browser = Browser::start();
    let fixture = Fixture::new("hidden");
    with_page(&fixture.host, ANY);
    let service = fixture.host.start();
    let page = Page::of(&service);
    let held = |expected: usize| {
        eventually(&format!("the page holds {expected} streams"), || {
            let streams: Vec<_> = (0..SEATS).map(|_| page.stream()).collect();
            let taken = streams.iter().filter(|(status, _)| *status == 200).count();
            // Free again for the next look, and for the page.
            drop(streams);
            when(SEATS - taken == expected, || format!("{taken} of {SEATS} were free"))
        });
    };
    held(0);
    browser.open(&format!("http://{}/", page.address));
    browser.until("the page is shown", "document.visibilityState === 'visible'");
    held(1);
    browser.hidden(true);
    browser.until("the page is hidden", "document.visibilityState === 'hidden'");
    held(0);
    browser.hidden(false);
    browser.until("the page is shown", "document.visibilityState === 'visible'");
    held(1);
    let mut log = fixture.log("logs/app.log");
    log.write(10);
    browser.until("it is renewed again", &says("files", "app.log"));
    fixture.finish(service);
}

/// Keeps a picture where somebody wants to look at it.
fn keep(picture: &str, name: &str) {
    let Some(directory) = std::env::var_os(PICTURES) else {
        return;
    };
    let file = fs::File::create(Path::new(&directory).join(name)).unwrap();
    let mut decoder = Command::new("base64")
        .arg("-d")
        .stdin(Stdio::piped())
        .stdout(file)
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut decoder.stdin.take().unwrap(), picture.as_bytes()).unwrap();
    assert!(decoder.wait().unwrap().success());
}
