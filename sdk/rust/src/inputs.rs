use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::{Deref, Index};
use core::slice;

use crate::Item;

/// An input set: a slice of items, in the order of their keys.
#[derive(Debug)]
pub struct Set {
    name: &'static str,
    items: &'static [Item],
}

impl Set {
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn new(name: &'static str, items: &'static [Item]) -> Set {
        Set { name, items }
    }

    /// The set's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The first item of a name.
    pub fn named(&self, name: &str) -> Option<&'static Item> {
        self.items.iter().find(|item| item.name() == name)
    }
}

impl Deref for Set {
    type Target = [Item];

    fn deref(&self) -> &[Item] {
        self.items
    }
}

impl IntoIterator for &Set {
    type Item = &'static Item;
    type IntoIter = slice::Iter<'static, Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

/// Names and content of the items of a set, for [`Inputs::of`].
pub type NamedBytes<'a> = &'a [(&'a str, &'a [u8])];

/// The input sets, by number in the manifest's order, or by name. A set that is
/// not there ends the function with a message.
#[derive(Debug)]
pub struct Inputs {
    sets: Vec<Set>,
}

impl Inputs {
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn new(sets: Vec<Set>) -> Inputs {
        Inputs { sets }
    }

    /// Inputs for a test: sets of names and content; the keys are 0, 1, 2 …
    /// Their bytes are never given back.
    ///
    /// ```
    /// let inputs = pappus::Inputs::of(&[("text", &[("a", b"to be"), ("b", b"or not")])]);
    /// assert_eq!(inputs["text"][1].data(), b"or not");
    /// ```
    pub fn of(sets: &[(&str, NamedBytes<'_>)]) -> Inputs {
        let set = |&(name, items): &(&str, NamedBytes<'_>)| {
            let items: Vec<Item> = items.iter().enumerate().map(|(i, (name, data))| Item::of(name, i as u32, data)).collect();
            Set { name: Box::leak(Box::from(name)), items: Box::leak(items.into_boxed_slice()) }
        };
        Inputs { sets: sets.iter().map(set).collect() }
    }

    /// All sets.
    pub fn sets(&self) -> &[Set] {
        &self.sets
    }

    /// The set of a name.
    pub fn named(&self, name: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.name == name)
    }
}

impl Index<usize> for Inputs {
    type Output = Set;

    fn index(&self, set: usize) -> &Set {
        match self.sets.get(set) {
            Some(set) => set,
            None => panic!("there is no input set {}, but {}", set, self.sets.len()),
        }
    }
}

impl Index<&str> for Inputs {
    type Output = Set;

    fn index(&self, name: &str) -> &Set {
        match self.named(name) {
            Some(set) => set,
            None => panic!("there is no input set {:?}", name),
        }
    }
}
