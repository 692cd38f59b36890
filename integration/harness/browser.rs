//! A real Chromium without a window, driven by its own protocol through a pipe (`--remote-debugging-pipe`: JSON with a NUL
//! behind each message).

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};

use super::eventually::{DEADLINE, eventually};
use super::writers::installed;
use super::{case, guard};

/// Its protocol is on the descriptors 3 and 4: here those of its input and output.
const PIPED: &str = "exec \"$@\" 3<&0 4>&1 >/dev/null 2>&1";
const CHROMIUM: [&str; 9] = [
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    "about:blank",
];

/// A browser with one page.
pub struct Browser {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    session: Value,
    target: Value,
    number: u64,
    /// What the page complained of: errors, and what its policy forbids.
    complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one; skips the test where none is installed.
    pub fn start() -> Browser {
        if !installed(CHROMIUM[0]) {
            case::skip("chromium is not installed");
        }
        let profile = tempfile::tempdir_in(guard::run_dir()).unwrap();
        let mut command = guard::command("sh");
        command.args(["-c", PIPED, "sh"]).args(CHROMIUM);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, messages) = channel();
        thread::spawn(move || {
            for message in output.split(0).map_while(Result::ok) {
                if tell.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut browser = Browser {
            input: child.stdin.take().unwrap(),
            child,
            messages,
            session: Value::Null,
            target: Value::Null,
            number: 0,
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser.order("Target.createTarget", &json!({ "url": "about:blank" }));
        browser.target = target["targetId"].clone();
        let attach = json!({ "targetId": browser.target, "flatten": true });
        browser.session = browser.order("Target.attachToTarget", &attach)["sessionId"].clone();
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.order(domain, &json!({}));
        }
        browser
    }

    /// Goes to an address.
    pub fn open(&mut self, url: &str) {
        let answer = self.order("Page.navigate", &json!({ "url": url }));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let answer = self.order(
            "Runtime.evaluate",
            &json!({ "expression": expression, "returnByValue": true }),
        );
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub fn until(&mut self, what: &str, expression: &str) {
        eventually(what, || match self.value(expression) {
            Value::Bool(true) => Ok(()),
            _ => Err(self.value("document.body && document.body.innerText").to_string()),
        });
    }

    /// How large the page is shown, in CSS pixels, and whether to one who likes it dark.
    pub fn shown(&mut self, width: u32, height: u32, dark: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 640 });
        self.order("Emulation.setDeviceMetricsOverride", &size);
        let value = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.order("Emulation.setEmulatedMedia", &media);
    }

    /// The page is hidden behind another one from now on, as a tab that is not looked at; or shown again.
    pub fn hidden(&mut self, is_hidden: bool) {
        if is_hidden {
            let other = self.order(
                "Target.createTarget",
                &json!({ "url": "about:blank", "background": false }),
            );
            self.order("Target.activateTarget", &json!({ "targetId": other["targetId"] }));
        } else {
            let target = self.target.clone();
            self.order("Target.activateTarget", &json!({ "targetId": target }));
        }
    }

    /// Pages run no scripts from now on.
    pub fn without_scripts(&mut self) {
        self.order("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    }

    /// A picture of it, in base64.
    pub fn picture(&mut self) -> String {
        let answer = self.order("Page.captureScreenshot", &json!({ "format": "png" }));
        answer["data"].as_str().unwrap().to_owned()
    }

    /// What the page complained of so far.
    pub fn complaints(&mut self) -> &[String] {
        // Everything said before this is answered has come.
        self.value("1");
        &self.complaints
    }

    fn order(&mut self, method: &str, parameters: &Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        self.input.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let message = self.messages.recv_timeout(DEADLINE);
            let mut message = message.unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] == self.number {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            let is_thrown = message["method"] == "Runtime.exceptionThrown";
            let is_error = message["method"] == "Log.entryAdded" && message["params"]["entry"]["level"] == "error";
            if is_thrown || is_error {
                self.complaints.push(message["params"].to_string());
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
