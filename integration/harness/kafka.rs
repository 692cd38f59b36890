//! A real Apache Kafka on this machine: one broker, KRaft, controller and broker in one process.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rustix::process::Signal;

use super::eventually::eventually;
use super::{case, guard, jars, process};

/// Small, quick to start, and soon forgetting a broker that was killed: without the session timeout a broker that comes
/// back within 9 s is refused for that long.
const PROPERTIES: &str = "
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
auto.create.topics.enable=false
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
log.cleaner.dedupe.buffer.size=2097152
";

/// For a broker that is paused while transactions are open: it is not taken for gone meanwhile. Kafka 4.3 drops the ends of
/// transactions while their partitions have no leader (KAFKA-20734), which no client can mend.
pub const PATIENT: &str = "broker.session.timeout.ms=8000\n";

/// How a broker's Java runs in tests: soon up, with little memory.
pub const SMALL: &[&str] = &["-Xms96m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// What a broker has besides.
#[derive(Default)]
pub struct More {
    /// Lines of its properties.
    pub properties: String,
    /// More of `listeners` and of `listener.security.protocol.map`, each after a comma.
    pub listeners: String,
    pub protocols: String,
    /// More arguments of the tool that formats its directory.
    pub format: Vec<String>,
}

/// A broker with its data; it can be stopped and started again under the same address.
pub struct Broker {
    name: String,
    dir: PathBuf,
    java_options: &'static [&'static str],
    port: u16,
    java: Mutex<Option<Child>>,
    admin: OnceLock<AdminClient<DefaultClientContext>>,
}

static SHARED: OnceLock<Broker> = OnceLock::new();

/// The broker of all tests that do no harm to it; each uses topics of its own.
pub fn shared() -> &'static Broker {
    SHARED.get_or_init(|| Broker::start("shared", SMALL))
}

/// Ends the shared broker, if any test started it.
pub fn end_shared() {
    if let Some(broker) = SHARED.get() {
        broker.kill();
    }
}

/// A broker for one test, which may do with it what it likes.
pub struct Private(Broker);

/// Two at once: more would starve each other on a machine with two cores.
static FREE: (Mutex<u32>, Condvar) = (Mutex::new(2), Condvar::new());

/// Where nothing is said of a topic, everybody may do everything with it.
const RIGHTS: &str = "
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
";

/// A broker for the calling test alone; waits until there is room for one.
pub fn private(name: &str) -> Private {
    private_with(name, "")
}

/// A [`private`] broker that knows rights.
pub fn private_with_rights(name: &str) -> Private {
    private_with(name, RIGHTS)
}

/// A [`private`] broker with more properties, a line each.
pub fn private_with(name: &str, properties: &str) -> Private {
    let mut free = FREE.1.wait_while(FREE.0.lock().unwrap(), |free| *free == 0).unwrap();
    *free -= 1;
    drop(free);
    let more = More {
        properties: properties.to_owned(),
        ..More::default()
    };
    Private(Broker::start_with(name, SMALL, &more))
}

impl Deref for Private {
    type Target = Broker;

    fn deref(&self) -> &Broker {
        &self.0
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if std::thread::panicking() {
            case::evidence(&format!("kafka {}", self.0.name), &process::tail(&self.0.log(), 40));
        }
        self.0.kill();
        *FREE.0.lock().unwrap() += 1;
        FREE.1.notify_one();
    }
}

/// A name that no other topic of this run has.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A free port below the range that the kernel gives to clients: a client that keeps trying to reach a stopped broker could
/// else be given the broker's own port. It is ours until this process ends, also while the broker is stopped; other checkouts of
/// this user see that, too.
pub fn free_port() -> u16 {
    static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let user = rustix::process::getuid().as_raw();
    let dir = std::env::temp_dir().join(format!("logcatch-ports-{user}"));
    fs::create_dir_all(&dir).unwrap();
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let start = u16::try_from(std::process::id() % 100).unwrap() * 100;
    for offset in 0..10_000 {
        let port = 20_000 + (start + offset) % 10_000;
        let lock = File::create(dir.join(port.to_string())).unwrap();
        if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            held.push(lock);
            return port;
        }
    }
    panic!("no port is free")
}

/// The configuration of a client that reconnects quickly.
pub fn client(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "200")
        .set("topic.metadata.refresh.interval.ms", "2000");
    config
}

impl Broker {
    /// Formats a directory, starts Kafka on it, and waits until it answers.
    pub fn start(name: &str, java_options: &'static [&'static str]) -> Broker {
        Broker::start_with(name, java_options, &More::default())
    }

    /// [`Broker::start`], with more.
    pub fn start_with(name: &str, java_options: &'static [&'static str], more: &More) -> Broker {
        let dir = guard::run_dir().join(unique(&format!("kafka-{name}")));
        fs::create_dir_all(&dir).unwrap();
        let (port, controller_port) = (free_port(), free_port());
        let properties = format!(
            "{PROPERTIES}{}listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT{}\nlog.dirs={}\ncontroller.quorum.voters=1@127.0.0.1:{controller_port}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{}\n",
            more.properties,
            more.protocols,
            dir.join("data").display(),
            more.listeners,
        );
        fs::write(dir.join("server.properties"), properties).unwrap();
        let broker = Broker {
            name: name.to_owned(),
            dir,
            java_options,
            port,
            java: Mutex::new(None),
            admin: OnceLock::new(),
        };
        // A cluster id is 16 bytes in base64: 22 characters.
        let id = format!("{:0>21}A", format!("{}x{port}", std::process::id()));
        let config = broker.dir.join("server.properties");
        let mut format = broker.java("kafka.tools.StorageTool");
        let output = format
            .args(["format", "-t", &id, "-c"])
            .arg(config)
            .args(&more.format)
            .output()
            .expect("run kafka.tools.StorageTool");
        assert!(output.status.success(), "cannot format Kafka's directory: {output:?}");
        broker.start_again();
        broker
    }

    /// What clients connect to.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn java(&self, class: &str) -> std::process::Command {
        let mut command = guard::command("java");
        // What it unpacks there it leaves behind when it is killed: here it goes with the rest.
        let unpacked = format!("-Djava.io.tmpdir={}", self.dir.display());
        command.args(self.java_options).arg(unpacked).args([
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            // Says so when it drops the end of a transaction.
            "-Dorg.slf4j.simpleLogger.log.kafka.coordinator.transaction.TransactionMarkerChannelManager=info",
            "-cp",
            jars::classpath(),
            class,
        ]);
        command
    }

    /// Runs one of Kafka's own command line tools to its end and gives its standard output.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> String {
        let output = self.java(class).args(arguments).output().expect("run a tool of Kafka");
        assert!(output.status.success(), "{class} {arguments:?} failed: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts the broker, after a stop on the same address and data, and waits until it answers.
    pub fn start_again(&self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("kafka.log"))
            .unwrap();
        let mut command = self.java("kafka.Kafka");
        command.arg(self.dir.join("server.properties"));
        command.stdout(log.try_clone().unwrap()).stderr(log);
        *self.process() = Some(command.spawn().expect("start Kafka"));
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        let client: BaseConsumer = self.client().create().unwrap();
        eventually(&format!("Kafka `{}` answers", self.name), || {
            let ended = self.process().as_mut().and_then(|java| java.try_wait().unwrap());
            if let Some(status) = ended {
                panic!(
                    "Kafka `{}` ended with {status}:\n{}",
                    self.name,
                    process::tail(&self.log(), 30)
                );
            }
            TcpStream::connect(("127.0.0.1", self.port)).map_err(|error| error.to_string())?;
            let metadata = client
                .fetch_metadata(None, Duration::from_secs(1))
                .map_err(|error| error.to_string())?;
            if metadata.brokers().is_empty() {
                Err("no broker in the metadata".to_owned())
            } else {
                Ok(())
            }
        });
    }

    /// A client's configuration that reconnects quickly.
    pub fn client(&self) -> ClientConfig {
        client(&self.address())
    }

    /// Ends the broker as an operator does.
    pub fn stop(&self) {
        self.signal(Signal::TERM);
        self.reap();
    }

    /// Ends the broker at once.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        self.reap();
    }

    /// The broker hangs: connections stay open and nobody answers.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// The broker goes on after [`Broker::pause`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(java) = self.process().as_ref() {
            process::signal(java, signal);
        }
    }

    fn reap(&self) {
        if let Some(mut java) = self.process().take() {
            java.wait().unwrap();
        }
    }

    /// A test that failed while it held this must still end its broker.
    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.java.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that Kafka has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("kafka.log")).unwrap_or_default()
    }

    /// Makes a topic with a unique name from `name`, and gives that name.
    pub fn topic(&self, name: &str, partitions: i32) -> String {
        self.topic_with(name, partitions, &[])
    }

    /// [`Broker::topic`] with settings of the topic.
    pub fn topic_with(&self, name: &str, partitions: i32, config: &[(&str, &str)]) -> String {
        let name = unique(name);
        self.create_topic(&name, partitions, config);
        name
    }

    /// Makes a topic with exactly this name.
    pub fn create_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let topic = config.iter().fold(
            NewTopic::new(name, partitions, TopicReplication::Fixed(1)),
            |topic, (key, value)| topic.set(key, value),
        );
        let admin = self.admin();
        eventually(&format!("topic `{name}` is made"), || {
            let result = block_on(admin.create_topics([&topic], &AdminOptions::new())).map_err(|e| e.to_string())?;
            match &result[0] {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
                Err((_, code)) => Err(code.to_string()),
            }
        });
    }

    /// Gives a topic more partitions.
    pub fn grow_topic(&self, name: &str, partitions: usize) {
        let grown = NewPartitions::new(name, partitions);
        let result = block_on(self.admin().create_partitions([&grown], &AdminOptions::new())).unwrap();
        assert!(result[0].is_ok(), "cannot grow topic `{name}`: {result:?}");
    }

    /// Replaces all settings of a topic.
    pub fn alter_topic(&self, name: &str, config: &[(&str, &str)]) {
        let altered = config.iter().fold(
            AlterConfig::new(ResourceSpecifier::Topic(name)),
            |altered, (key, value)| altered.set(key, value),
        );
        let result = block_on(self.admin().alter_configs([&altered], &AdminOptions::new())).unwrap();
        assert!(result[0].is_ok(), "cannot alter topic `{name}`: {result:?}");
    }

    /// Deletes a topic with all that is in it.
    pub fn delete_topic(&self, name: &str) {
        let result = block_on(self.admin().delete_topics(&[name], &AdminOptions::new())).unwrap();
        assert!(result[0].is_ok(), "cannot delete topic `{name}`: {result:?}");
    }

    /// Adds or removes rights, in the words of `kafka-acls.sh`.
    pub fn acl(&self, arguments: &[&str]) {
        let address = self.address();
        let all = ["--bootstrap-server", &address]
            .into_iter()
            .chain(arguments.iter().copied());
        self.tool("org.apache.kafka.tools.AclCommand", &all.collect::<Vec<_>>());
    }

    fn admin(&self) -> &AdminClient<DefaultClientContext> {
        self.admin.get_or_init(|| self.client().create().unwrap())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    // The clients' own threads complete these futures: nothing but a waker is needed here.
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
