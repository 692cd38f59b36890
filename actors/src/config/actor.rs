//! The ConfigActor: reads the settings again when their files change, and hands what is valid to the SupervisorActor.
//! What is not valid changes nothing and is said.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use logcatch_settings::{Loaded, Refused, Settings, Sources};
use tokio::sync::Mutex;

use super::herald::Herald;
use super::watch::{Looks, SourcesWatch};
use crate::kafka::load;
use crate::observe::Board;
use crate::supervisor::{ApplySettings, SupervisorActor};

/// Editors and programs write a file in several steps: one reading for all.
const DEBOUNCE: Duration = Duration::from_millis(250);
/// A change of which no notification came is found this late.
const LOOK: Duration = Duration::from_secs(5);

/// Reads the settings file now, as on SIGHUP. The answer says why nothing was applied.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<(), String>")]
pub struct Reload;

/// Something happened to a file that decides about the settings.
#[derive(Message)]
#[rtype(result = "()")]
struct Changed;

/// Watches the settings file.
pub struct ConfigActor {
    path: PathBuf,
    supervisor: Addr<SupervisorActor>,
    herald: Rc<dyn Herald>,
    sources: Sources,
    current: Arc<Settings>,
    /// What was said of them.
    notices: Vec<String>,
    watch: Option<SourcesWatch>,
    looks: Looks,
    scheduled: bool,
    /// Readings take turns: what was read first is applied first.
    turns: Arc<Mutex<()>>,
    /// The files as they are now were refused.
    refused: bool,
    /// Only the reading at start was there so far.
    is_first: bool,
    board: Arc<Board>,
    /// The files were never good since the start, and why they were not the last time: they are tried again and again.
    broken: Option<String>,
}

impl ConfigActor {
    /// Watches `path`, from which `loaded` was read and applied: now, or earlier if the file is refused now.
    #[must_use]
    pub fn new(
        path: PathBuf,
        mut loaded: Loaded,
        refused: Option<&Refused>,
        supervisor: Addr<SupervisorActor>,
        herald: Rc<dyn Herald>,
    ) -> Self {
        if let Some(Refused::Invalid { sources, .. }) = refused {
            loaded.sources.files.extend(sources.files.iter().cloned());
            loaded.sources.patterns.extend(sources.patterns.iter().cloned());
        }
        Self {
            path,
            supervisor,
            herald,
            sources: loaded.sources,
            current: Arc::new(loaded.settings),
            notices: loaded.notices,
            watch: None,
            looks: Looks::new(),
            scheduled: false,
            turns: Arc::default(),
            refused: refused.is_some(),
            is_first: true,
            board: Arc::default(),
            broken: refused.map(Refused::in_full),
        }
    }

    /// Where it shows what was refused.
    #[must_use]
    pub fn shown_on(mut self, board: Arc<Board>) -> Self {
        self.board = board;
        self
    }

    fn schedule(&mut self, ctx: &mut Context<Self>) {
        if !self.scheduled {
            self.scheduled = true;
            ctx.run_later(DEBOUNCE, |actor, ctx| {
                actor.scheduled = false;
                let reload = actor.reload();
                ctx.spawn(reload.map(|_, _, _| ()));
            });
        }
    }

    /// Reads, validates, applies, when an earlier reading has come to its end.
    fn reload(&mut self) -> ResponseActFuture<Self, Result<(), String>> {
        let turn = Arc::clone(&self.turns).lock_owned().into_actor(self);
        Box::pin(turn.then(|turn, actor, _| {
            actor.read().map(move |answer, _, _| {
                drop(turn);
                answer
            })
        }))
    }

    /// Off the arbiter where it touches the disk.
    fn read(&mut self) -> ResponseActFuture<Self, Result<(), String>> {
        let path = self.path.clone();
        // The first one finds out whether the files changed before they were watched, which is nobody's business.
        if !self.is_first {
            self.herald.reading();
        }
        // What happens to the files while they are read shows at the next look.
        self.looks = self.watch.as_ref().map(SourcesWatch::look).unwrap_or_default();
        let loaded = actix_rt::task::spawn_blocking(move || load(&path, &|name| std::env::var(name).ok()));
        Box::pin(loaded.into_actor(self).then(|loaded, actor, _| match loaded {
            Ok(Ok(loaded)) => actor.apply(loaded),
            Ok(Err(refused)) => Box::pin(fut::ready(Err(actor.refuse(&refused)))),
            Err(error) => {
                actor.herald.refused();
                Box::pin(fut::ready(Err(format!("cannot read the settings: {error}"))))
            }
        }))
    }

    fn apply(&mut self, loaded: Loaded) -> ResponseActFuture<Self, Result<(), String>> {
        let Loaded {
            settings,
            notices,
            sources,
            texts,
            ..
        } = loaded;
        self.follow(sources);
        for notice in notices.iter().filter(|notice| !self.notices.contains(notice)) {
            log::warn!("{notice}");
        }
        self.notices = notices;
        let were_refused = std::mem::take(&mut self.refused);
        let is_first = std::mem::take(&mut self.is_first);
        if settings == *self.current {
            self.board.is_in_force(!is_first);
            let path = self.path.display();
            if were_refused {
                log::info!(path:%; "settings are valid again and say what is in force");
            } else if is_first {
                log::debug!(path:%; "settings did not change before they were watched");
            } else {
                log::info!(path:%; "settings were read again and say what is in force");
            }
            let were_broken = self.broken.take().is_some();
            if !is_first || were_broken {
                self.herald.in_force(&settings, &texts);
            }
            return Box::pin(fut::ready(Ok(())));
        }
        let settings = Arc::new(settings);
        let applied = self.supervisor.send(ApplySettings(Arc::clone(&settings)));
        Box::pin(applied.into_actor(self).map(move |answer, actor, _| {
            let answer = answer.unwrap_or_else(|error| Err(error.to_string()));
            match &answer {
                Ok(()) => {
                    actor.broken = None;
                    actor.herald.in_force(&settings, &texts);
                    actor.current = settings;
                }
                Err(why) => {
                    actor.board.refused(why.clone(), false);
                    actor.herald.refused();
                    log::error!(path:% = actor.path.display(), cause = why; "settings refused; everything stays as it was");
                }
            }
            answer
        }))
    }

    fn refuse(&mut self, refused: &Refused) -> String {
        self.refused = true;
        if let Refused::Invalid { sources, .. } = refused {
            // A change of any of them is a reason to try again.
            self.follow(sources.clone());
        }
        self.herald.refused();
        let why = refused.in_full();
        let is_known = self.broken.as_ref() == Some(&why);
        if !is_known {
            log::error!("settings refused; everything stays as it was: {why}");
        }
        if let Some(broken) = self.broken.as_mut() {
            broken.clone_from(&why);
        }
        self.board.refused(why.clone(), is_known);
        why
    }

    fn follow(&mut self, sources: Sources) {
        self.sources = sources.clone();
        if let Some(watch) = self.watch.as_mut() {
            watch.follow(sources);
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let sources = self.sources.clone();
        let Some(watch) = self.watch.as_mut() else { return };
        let looks = watch.look();
        // Not all that keeps a file from being read shows in how it looks.
        if looks != self.looks || self.broken.is_some() {
            self.looks = looks;
            // A directory that was away has no watch any more.
            watch.follow(sources);
            self.schedule(ctx);
        }
    }
}

impl Actor for ConfigActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let myself = ctx.address().downgrade();
        let mut watch = SourcesWatch::new(move || {
            if let Some(myself) = myself.upgrade() {
                myself.do_send(Changed);
            }
        });
        watch.follow(self.sources.clone());
        self.looks = watch.look();
        self.watch = Some(watch);
        // What changed between the reading at start and the watch raised no notification.
        let read = self.reload();
        ctx.spawn(read.map(|_, _, _| ()));
        ctx.run_interval(LOOK, Self::look);
    }
}

impl Handler<Changed> for ConfigActor {
    type Result = ();

    fn handle(&mut self, _: Changed, ctx: &mut Context<Self>) {
        self.schedule(ctx);
    }
}

impl Handler<Reload> for ConfigActor {
    type Result = ResponseActFuture<Self, Result<(), String>>;

    fn handle(&mut self, _: Reload, _: &mut Context<Self>) -> Self::Result {
        self.reload()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::path::Path;
    use std::rc::Rc;
    use std::time::Instant;

    use logcatch_settings::{Level, Texts};
    use logcatch_tail::{Claims, Handles, Lease, Positions, World};

    use super::*;
    use crate::{Budget, Common, DeadLetterStore, KafkaActor, options};

    /// A slow machine is no bug.
    const PATIENCE: Duration = Duration::from_secs(30);

    struct Bench {
        directory: tempfile::TempDir,
        applied: Arc<std::sync::Mutex<Vec<Level>>>,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                directory: tempfile::tempdir().unwrap(),
                applied: Arc::default(),
            }
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("logcatch.toml")
        }

        fn write(&self, level: &str, broker: &str) {
            let text = format!(
                "host = \"h\"\nlog = {{ level = \"{level}\" }}\n[kafka]\nbrokers = [\"{broker}\"]\ntopic = \"t\"\n\
                 [[logs]]\npath = \"logs/*.log\"\n"
            );
            fs::write(self.path(), text).unwrap();
        }

        fn load(&self) -> Loaded {
            load(&self.path(), &|_| None).unwrap()
        }

        /// Everything real but for Kafka, which is not there.
        async fn start(&self, loaded: Loaded) -> Addr<ConfigActor> {
            let letters = Arc::new(DeadLetterStore::new(self.directory.path(), 1 << 20));
            let (kafka, lanes) = KafkaActor::start(options(&loaded.settings), letters).unwrap();
            let common = Common {
                world: Arc::new(World {
                    positions: Positions::in_memory(),
                    claims: Arc::new(Claims::default()),
                    handles: Handles::new(16),
                    listings: Arc::default(),
                    spares: Arc::default(),
                    lease: Lease::default(),
                }),
                budget: Arc::new(Budget::new(1 << 20, 1 << 18)),
                lanes,
                host: "h".into(),
                board: Arc::default(),
                rates: Arc::default(),
            };
            let supervisor = SupervisorActor::new(common, kafka).start();
            let settings = Arc::new(loaded.settings.clone());
            supervisor.send(ApplySettings(settings)).await.unwrap().unwrap();
            let levels = Levels {
                last: Cell::new(loaded.settings.log.level),
                applied: Arc::clone(&self.applied),
            };
            ConfigActor::new(self.path(), loaded, None, supervisor, Rc::new(levels)).start()
        }

        async fn until_applied(&self, expected: &[Level]) {
            let start = Instant::now();
            while *self.applied.lock().unwrap() != expected {
                let seen = self.applied.lock().unwrap().clone();
                assert!(start.elapsed() < PATIENCE, "waited for {expected:?} but saw {seen:?}");
                actix_rt::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// Takes down each change of the level.
    struct Levels {
        last: Cell<Level>,
        applied: Arc<std::sync::Mutex<Vec<Level>>>,
    }

    impl Herald for Levels {
        fn reading(&self) {}

        fn in_force(&self, settings: &Settings, _: &Texts) {
            let level = settings.log.level;
            if self.last.replace(level) != level {
                self.applied.lock().unwrap().push(level);
            }
        }

        fn refused(&self) {}
    }

    fn pipe(path: &Path) {
        let (kind, mode) = (
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        );
        rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
    }

    #[actix::test]
    async fn an_edit_between_the_reading_at_start_and_the_watch_is_not_missed() {
        let bench = Bench::new();
        bench.write("info", "127.0.0.1:1");
        let loaded = bench.load();
        bench.write("warn", "127.0.0.1:1");
        let _config = bench.start(loaded).await;
        bench.until_applied(&[Level::Warn]).await;
    }

    /// The first of two readings waits for a secret that is a pipe, and then for its new producer: the second one is
    /// applied after it all the same.
    #[actix::test]
    async fn readings_that_overlap_are_applied_in_their_order() {
        let bench = Bench::new();
        bench.write("info", "127.0.0.1:1");
        let config = bench.start(bench.load()).await;
        config.send(Reload).await.unwrap().unwrap();
        let secret = bench.directory.path().join("broker");
        pipe(&secret);
        bench.write("warn", &format!("${{file:{}}}", secret.display()));
        let first = config.send(Reload);
        // The pipe opens for writing when the first reading has come to it.
        let opened = actix_rt::task::spawn_blocking({
            let secret = secret.clone();
            move || fs::File::options().write(true).open(secret).unwrap()
        });
        let (first, opened) = (actix_rt::spawn(first), opened.await.unwrap());
        bench.write("debug", "127.0.0.1:1");
        let mut second = actix_rt::spawn(config.send(Reload));
        let early = actix_rt::time::timeout(Duration::from_millis(300), &mut second).await;
        assert!(early.is_err(), "it overtook the first one");
        std::io::Write::write_all(&mut &opened, b"127.0.0.1:2").unwrap();
        drop(opened);
        first.await.unwrap().unwrap().unwrap();
        second.await.unwrap().unwrap().unwrap();
        bench.until_applied(&[Level::Warn, Level::Debug]).await;
    }
}
