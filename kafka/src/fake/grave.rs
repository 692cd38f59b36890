//! A sink for dead letters that may be full.

use std::sync::{Arc, Mutex};

use crate::letters::{BuryCause, BuryError, DeadLetters, Letter};

/// A sink with room for some letters.
#[derive(Clone, Default)]
pub(crate) struct Grave(Arc<Mutex<(usize, Vec<Letter>)>>);

impl Grave {
    pub(crate) fn with_room(room: usize) -> Self {
        Self(Arc::new(Mutex::new((room, Vec::new()))))
    }

    pub(crate) fn make_room(&self, room: usize) {
        self.0.lock().unwrap().0 = room;
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let kept = &self.0.lock().unwrap().1;
        kept.iter()
            .map(|letter| String::from_utf8(letter.line().to_vec()).unwrap())
            .collect()
    }
}

impl DeadLetters for Grave {
    fn bury(&self, letters: &[Letter]) -> Result<(), BuryError> {
        let mut grave = self.0.lock().unwrap();
        let buried = letters.len().min(grave.0);
        grave.0 -= buried;
        grave.1.extend_from_slice(&letters[..buried]);
        if buried < letters.len() {
            return Err(BuryError {
                buried,
                total: letters.len(),
                cause: BuryCause::Full { limit: 0 },
            });
        }
        Ok(())
    }
}
