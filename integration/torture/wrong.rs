//! The judge is judged: each deliberately wrong behaviour turns the torture red.

use crate::harness::case::cases;

cases![];
