//! Apache Kafka itself, fetched once from Maven Central into the target directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Every artifact of Kafka has this version.
pub const VERSION: &str = "4.3.1";

/// The plug-in that copies a dependency tree, pinned: without a version Maven asks for the newest.
const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// slf4j-simple is what writes the broker's log to its standard error; its version is that of Kafka's slf4j-api.
fn pom() -> String {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>\n"
        )
    };
    let dependencies = [
        dependency("org.apache.kafka", "kafka_2.13", VERSION),
        dependency("org.apache.kafka", "kafka-tools", VERSION),
        dependency("org.slf4j", "slf4j-simple", "1.7.36"),
    ]
    .concat();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\n\
         <groupId>logcatch</groupId><artifactId>kafka-for-tests</artifactId><version>1</version><packaging>pom</packaging>\n\
         <dependencies>\n{dependencies}</dependencies></project>\n"
    )
}

/// The class path of Kafka's servers and tools.
///
/// # Panics
/// When Java or Maven is missing or the download fails, with what to do about it.
pub fn classpath() -> &'static str {
    static CLASSPATH: OnceLock<Result<String, String>> = OnceLock::new();
    let result = CLASSPATH.get_or_init(|| {
        check_java()?;
        Ok(format!("{}/*", fetched()?.display()))
    });
    result.as_deref().unwrap_or_else(|problem| panic!("{problem}"))
}

fn check_java() -> Result<(), String> {
    const HELP: &str = "help: apt-get install openjdk-17-jre-headless";
    let output = Command::new("java")
        .arg("-version")
        .output()
        .map_err(|error| format!("cannot run `java`, which Kafka needs: {error}\n{HELP}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let version = text
        .split('"')
        .nth(1)
        .and_then(|version| version.split(['.', '-']).next()?.parse::<u32>().ok());
    match version {
        Some(17..) => Ok(()),
        _ => Err(format!(
            "cannot run Kafka {VERSION} with this Java, it needs 17 or newer: {}\n{HELP}",
            text.trim()
        )),
    }
}

/// The directory of the jars. A lock makes other test runs wait; a rename makes a half-finished fetch invisible.
fn fetched() -> Result<PathBuf, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("the target directory");
    let jars = target.join(format!("kafka-{VERSION}"));
    let context = |what: &str, error: std::io::Error| format!("cannot {what} `{}`: {error}", jars.display());
    let lock = File::create(jars.with_extension("lock")).map_err(|error| context("lock", error))?;
    lock.lock().map_err(|error| context("lock", error))?;
    if jars.is_dir() {
        return Ok(jars);
    }
    let work = tempfile::tempdir_in(target).map_err(|error| context("make", error))?;
    fs::write(work.path().join("pom.xml"), pom()).map_err(|error| context("make", error))?;
    let output = Command::new("mvn")
        .args(["-q", "-B", PLUGIN, "-DincludeScope=runtime", "-DoutputDirectory=jars"])
        .current_dir(work.path())
        .output()
        .map_err(|error| {
            format!(
                "cannot run `mvn`, which fetches Kafka {VERSION} for the tests: {error}\nhelp: apt-get install maven"
            )
        })?;
    if !output.status.success() {
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        return Err(format!("cannot fetch Kafka {VERSION} from Maven Central:\n{out}{err}"));
    }
    fs::rename(work.path().join("jars"), &jars).map_err(|error| context("make", error))?;
    Ok(jars)
}
