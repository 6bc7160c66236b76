use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

/// What names and content of output items may be made of. Nothing is copied.
pub trait IntoBytes {
    /// The bytes, which live until the function ends.
    fn into_bytes(self) -> Cow<'static, [u8]>;
}

impl IntoBytes for &'static [u8] {
    fn into_bytes(self) -> Cow<'static, [u8]> {
        Cow::Borrowed(self)
    }
}

impl<const N: usize> IntoBytes for &'static [u8; N] {
    fn into_bytes(self) -> Cow<'static, [u8]> {
        Cow::Borrowed(self)
    }
}

impl IntoBytes for &'static str {
    fn into_bytes(self) -> Cow<'static, [u8]> {
        Cow::Borrowed(self.as_bytes())
    }
}

impl IntoBytes for Vec<u8> {
    fn into_bytes(self) -> Cow<'static, [u8]> {
        Cow::Owned(self)
    }
}

impl IntoBytes for String {
    fn into_bytes(self) -> Cow<'static, [u8]> {
        Cow::Owned(String::into_bytes(self))
    }
}

impl IntoBytes for Cow<'static, [u8]> {
    fn into_bytes(self) -> Cow<'static, [u8]> {
        self
    }
}

/// An item that a function has put into a set.
#[derive(Debug)]
pub struct OutputItem {
    pub(crate) name: Cow<'static, [u8]>,
    pub(crate) key: u32,
    pub(crate) data: Cow<'static, [u8]>,
}

impl OutputItem {
    /// The item's name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The item's key.
    pub fn key(&self) -> u32 {
        self.key
    }

    /// The item's content.
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

/// An output set, empty at first.
#[derive(Debug)]
pub struct OutputSet {
    name: String,
    pub(crate) items: Vec<OutputItem>,
}

impl OutputSet {
    /// The set's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was put so far.
    pub fn items(&self) -> &[OutputItem] {
        &self.items
    }

    /// Adds an item with key 0.
    pub fn put(&mut self, name: impl IntoBytes, data: impl IntoBytes) {
        self.put_keyed(name, 0, data);
    }

    /// Adds an item.
    pub fn put_keyed(&mut self, name: impl IntoBytes, key: u32, data: impl IntoBytes) {
        self.items.push(OutputItem { name: name.into_bytes(), key, data: data.into_bytes() });
    }
}

/// The output sets, by number in the manifest's order, or by name. A set that is
/// not there ends the function with a message.
#[derive(Debug)]
pub struct Outputs {
    sets: Vec<OutputSet>,
}

impl Outputs {
    /// Empty sets of these names: for a test.
    pub fn of(names: &[&str]) -> Outputs {
        Outputs { sets: names.iter().map(|name| OutputSet { name: name.to_string(), items: Vec::new() }).collect() }
    }

    /// All sets.
    pub fn sets(&self) -> &[OutputSet] {
        &self.sets
    }

    /// The set of a name.
    pub fn named(&mut self, name: &str) -> Option<&mut OutputSet> {
        self.sets.iter_mut().find(|set| set.name == name)
    }
}

impl Index<usize> for Outputs {
    type Output = OutputSet;

    fn index(&self, set: usize) -> &OutputSet {
        match self.sets.get(set) {
            Some(set) => set,
            None => panic!("there is no output set {}, but {}", set, self.sets.len()),
        }
    }
}

impl IndexMut<usize> for Outputs {
    fn index_mut(&mut self, set: usize) -> &mut OutputSet {
        let sets = self.sets.len();
        match self.sets.get_mut(set) {
            Some(set) => set,
            None => panic!("there is no output set {}, but {}", set, sets),
        }
    }
}

impl Index<&str> for Outputs {
    type Output = OutputSet;

    fn index(&self, name: &str) -> &OutputSet {
        match self.sets.iter().find(|set| set.name == name) {
            Some(set) => set,
            None => panic!("there is no output set {:?}", name),
        }
    }
}

impl IndexMut<&str> for Outputs {
    fn index_mut(&mut self, name: &str) -> &mut OutputSet {
        match self.named(name) {
            Some(set) => set,
            None => panic!("there is no output set {:?}", name),
        }
    }
}
