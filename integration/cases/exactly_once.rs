//! Exactly once: what others do to its transactions, and how it comes and goes.

use crate::harness::case::cases;

cases![];
