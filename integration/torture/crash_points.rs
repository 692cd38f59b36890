//! Crash points by system call.

use crate::harness::case::cases;

cases![];
