//! A question that each actor answers when it comes to it.

use actix::prelude::*;

use crate::config::ConfigActor;
use crate::kafka::KafkaActor;
use crate::supervisor::SupervisorActor;

/// Answered by an actor that still handles its messages.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Ping;

impl Handler<Ping> for ConfigActor {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) {}
}

impl Handler<Ping> for SupervisorActor {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) {}
}

impl Handler<Ping> for KafkaActor {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) {
        #[cfg(debug_assertions)]
        crate::fault::hang("kafka");
    }
}
