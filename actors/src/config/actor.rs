//! The ConfigActor: reads the settings again when their files change, and hands what is valid to the SupervisorActor.
//! What is not valid changes nothing and is said.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use logcatch_settings::{Loaded, Refused, Settings, Sources, load};

use super::herald::Herald;
use super::watch::{Looks, SourcesWatch};
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
    watch: Option<SourcesWatch>,
    looks: Looks,
    scheduled: bool,
    /// The files as they are now were refused.
    refused: bool,
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
            watch: None,
            looks: Looks::new(),
            scheduled: false,
            refused: refused.is_some(),
            broken: refused.map(ToString::to_string),
        }
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

    /// Reads, validates, applies; off the arbiter where it touches the disk.
    fn reload(&mut self) -> ResponseActFuture<Self, Result<(), String>> {
        let path = self.path.clone();
        self.herald.reading();
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
        let were_refused = std::mem::take(&mut self.refused);
        if settings == *self.current {
            let path = self.path.display();
            if were_refused {
                log::info!(path:%; "settings are valid again and say what is in force");
            } else {
                log::info!(path:%; "settings were read again and say what is in force");
            }
            self.broken = None;
            self.herald.in_force(&settings, &texts);
            return Box::pin(fut::ready(Ok(())));
        }
        for notice in &notices {
            log::warn!("{notice}");
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
        let why = refused.to_string();
        let is_known = self.broken.as_ref() == Some(&why);
        if !is_known {
            log::error!("settings refused; everything stays as it was: {why}");
        }
        if let Some(broken) = self.broken.as_mut() {
            broken.clone_from(&why);
        }
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
