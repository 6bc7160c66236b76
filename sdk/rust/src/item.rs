use alloc::boxed::Box;
use alloc::string::ToString;
use core::{fmt, slice, str};

use crate::Error;

/// An input item: bytes with a name and a key.
///
/// It lies where the platform placed it, and nothing is copied. As a function's
/// memory lives exactly as long as its call, the bytes are `'static`.
#[repr(C)]
pub struct Item {
    ident: *const u8,
    ident_len: usize,
    data: *const u8,
    data_len: usize,
    key: usize,
}

// SAFETY: an item is never changed, and what it points to neither.
unsafe impl Sync for Item {}
// SAFETY: as above.
unsafe impl Send for Item {}

impl Item {
    /// The item's name, which need not be unique in its set.
    pub fn name(&self) -> &'static str {
        // SAFETY: the platform, or of() below, made the item of such bytes.
        let bytes = unsafe { bytes(self.ident, self.ident_len) };
        // The platform takes names in UTF-8 only.
        str::from_utf8(bytes).unwrap_or("")
    }

    /// The number by which the items of a set are ordered.
    pub fn key(&self) -> u32 {
        self.key as u32
    }

    /// The item's content.
    pub fn data(&self) -> &'static [u8] {
        // SAFETY: as in name.
        unsafe { bytes(self.data, self.data_len) }
    }

    /// The item's content as text, or an error that names the item.
    pub fn text(&self) -> Result<&'static str, Error> {
        str::from_utf8(self.data()).map_err(|e| Error::new(1, format_args!("item {:?} is not UTF-8: {}", self.name(), e)))
    }

    /// An item for a test. Its bytes are never given back.
    pub(crate) fn of(name: &str, key: u32, data: &[u8]) -> Item {
        let name: &'static str = Box::leak(name.to_string().into_boxed_str());
        let data: &'static [u8] = Box::leak(data.to_vec().into_boxed_slice());
        Item { ident: name.as_ptr(), ident_len: name.len(), data: data.as_ptr(), data_len: data.len(), key: key as usize }
    }

    /// An item to hand to the platform. The bytes must stay as they are.
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    pub(crate) fn raw(name: &[u8], key: u32, data: &[u8]) -> Item {
        Item { ident: name.as_ptr(), ident_len: name.len(), data: data.as_ptr(), data_len: data.len(), key: key as usize }
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({} bytes, key {})", self.name(), self.data_len, self.key)
    }
}

/// The bytes of a name or of content; the pointer of empty ones may be null.
///
/// # Safety
///
/// There must be `len` bytes at `at` that never change, unless `len` is 0.
pub(crate) unsafe fn bytes(at: *const u8, len: usize) -> &'static [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(at, len) }
}
