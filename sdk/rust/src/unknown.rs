//! The platform on `wasm32-unknown-unknown`: the struct through which it speaks
//! with the function, and the function's begin and end.
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use core::ptr::{addr_of, addr_of_mut, null_mut};

use crate::item::bytes;
use crate::{Error, Function, Inputs, Item, Outputs, Set};

#[cfg(target_feature = "atomics")]
compile_error!("functions have no threads: build without the target feature atomics");

#[repr(C)]
struct SetInfo {
    ident: *const u8,
    ident_len: usize,
    offset: usize,
}

#[repr(C)]
#[allow(missing_docs)]
pub struct SystemData {
    exit_code: i32,
    heap_begin: usize,
    heap_end: usize,
    input_sets_len: usize,
    input_sets: *const SetInfo,
    output_sets_len: usize,
    output_sets: *mut SetInfo,
    input_bufs: *const Item,
    output_bufs: *mut Item,
}

/// The values of a struct that no platform has filled in. It does so before
/// every call, behind the compiler's back: so it is read as volatile.
#[no_mangle]
#[allow(non_upper_case_globals, missing_docs)]
pub static mut __dandelion_system_data: SystemData = SystemData {
    exit_code: 256,
    heap_begin: usize::MAX,
    heap_end: 0,
    input_sets_len: usize::MAX,
    input_sets: null_mut(),
    output_sets_len: usize::MAX,
    output_sets: null_mut(),
    input_bufs: null_mut(),
    output_bufs: null_mut(),
};

/// Reads or writes a field of the struct.
macro_rules! system {
    // SAFETY: the struct is there as long as the function, which has one thread.
    ($field:ident) => {
        unsafe { addr_of!(__dandelion_system_data.$field).read_volatile() }
    };
    ($field:ident = $value:expr) => {{
        let value = $value;
        // SAFETY: as above.
        unsafe { addr_of_mut!(__dandelion_system_data.$field).write_volatile(value) }
    }};
}

/// The exit code before there is one.
const RUNNING: i32 = -1;

/// The exit code of a function that is out of memory.
const OUT_OF_MEMORY: i32 = 259;

/// The exit code of Rust's programs that panic.
const PANICKED: i32 = 101;

/// A variable of a program with one thread. Who has access to it calls nothing
/// that could ask for access too.
pub(crate) struct Single<T>(UnsafeCell<T>);

// SAFETY: there is one thread (see atomics above).
unsafe impl<T> Sync for Single<T> {}

impl<T> Single<T> {
    pub(crate) const fn new(value: T) -> Single<T> {
        Single(UnsafeCell::new(value))
    }

    pub(crate) fn get(&self) -> *mut T {
        self.0.get()
    }
}

const PAGE: usize = 65536;

/// Where the heap begins.
pub(crate) fn heap_begin() -> usize {
    system!(heap_begin)
}

/// Where the heap may end now.
pub(crate) fn heap_end() -> usize {
    system!(heap_end)
}

/// Moves the end of the heap by at least that many bytes.
pub(crate) fn grow(more: usize) -> bool {
    let end = heap_end();
    // Where the heap does not end with the memory, what lies behind it belongs
    // to somebody else.
    if end % PAGE != 0 || core::arch::wasm32::memory_size(0) != end / PAGE {
        return false;
    }
    let pages = more / PAGE + usize::from(more % PAGE != 0);
    match pages.checked_mul(PAGE).and_then(|bytes| end.checked_add(bytes)) {
        Some(end) if core::arch::wasm32::memory_grow(0, pages) != usize::MAX => {
            system!(heap_end = end);
            true
        }
        _ => false,
    }
}

/// Notes that memory could not be had. If that ends the function, as it mostly
/// does, by a trap, this is its exit code.
pub(crate) fn out_of_memory() {
    system!(exit_code = OUT_OF_MEMORY);
}

/// Notes that memory could be had.
pub(crate) fn memory_had() {
    system!(exit_code = RUNNING);
}

/// What the function has logged.
static STDERR: Single<String> = Single::new(String::new());

/// See [`crate::log!`].
pub fn log(message: fmt::Arguments<'_>) {
    let mut line = String::new();
    // A value that can't be shown leaves the line as far as it came.
    let _ = line.write_fmt(message);
    line.push('\n');
    // SAFETY: appending to a text calls nothing that logs, but when memory is
    // used up, which ends the function.
    unsafe { (*STDERR.get()).push_str(&line) };
}

/// Runs the function to its end.
pub fn start(function: Function) {
    #[cfg(feature = "std")]
    std::panic::set_hook(std::boxed::Box::new(|info| panicked(format_args!("{}", info))));

    let (inputs, mut outputs) = (inputs(), outputs());
    let code = match function(&inputs, &mut outputs) {
        Ok(()) => 0,
        Err(error) => failed(&error),
    };
    if code != 0 {
        outputs = self::outputs();
    }
    finish(outputs, code);
}

fn failed(error: &Error) -> i32 {
    if !error.message().is_empty() {
        log(format_args!("{}", error.message()));
    }
    error.code()
}

/// Ends the function, but for the trap that follows a panic.
fn panicked(message: fmt::Arguments<'_>) {
    if system!(exit_code) == OUT_OF_MEMORY {
        return; // it panicked because of that, and a message takes memory
    }
    log(message);
    finish(outputs(), PANICKED);
}

#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    panicked(format_args!("{}", info));
    core::arch::wasm32::unreachable()
}

fn inputs() -> Inputs {
    let (sets, items) = (system!(input_sets), system!(input_bufs));
    // SAFETY: behind the array of sets is one more, whose offset ends the last.
    // What the platform placed never changes.
    let set = |i| unsafe {
        let (set, next) = (&*sets.add(i), &*sets.add(i + 1));
        let items: &'static [Item] = match next.offset - set.offset {
            0 => &[],
            n => core::slice::from_raw_parts(items.add(set.offset), n),
        };
        Set::new(name(set), items)
    };
    Inputs::new((0..system!(input_sets_len)).map(set).collect())
}

fn outputs() -> Outputs {
    let sets = system!(output_sets);
    // SAFETY: there are that many sets.
    let names: Vec<&str> = (0..system!(output_sets_len)).map(|i| name(unsafe { &*sets.add(i) })).collect();
    Outputs::of(&names)
}

fn name(set: &SetInfo) -> &'static str {
    // SAFETY: the platform placed the name.
    core::str::from_utf8(unsafe { bytes(set.ident, set.ident_len) }).unwrap_or("")
}

/// Leaves outputs and exit code where the platform finds them.
fn finish(mut outputs: Outputs, code: i32) {
    // SAFETY: see STDERR.
    let stderr = core::mem::take(unsafe { &mut *STDERR.get() });
    if !stderr.is_empty() {
        if let Some(stdio) = outputs.named("stdio") {
            stdio.put("stderr", stderr);
        }
    }
    let total = outputs.sets().iter().map(|set| set.items().len()).sum();
    let mut flat: Vec<Item> = Vec::with_capacity(total);
    let sets = system!(output_sets);
    for (i, set) in outputs.sets().iter().enumerate() {
        // SAFETY: outputs has as many sets as the array, which is the function's to write.
        unsafe { (*sets.add(i)).offset = flat.len() };
        flat.extend(set.items().iter().map(|item| Item::raw(item.name(), item.key(), item.data())));
    }
    // SAFETY: behind the array of sets is one more.
    unsafe { (*sets.add(outputs.sets().len())).offset = flat.len() };
    // The platform reads both when all is over.
    system!(output_bufs = flat.leak().as_mut_ptr());
    core::mem::forget(outputs);
    system!(exit_code = code);
}
