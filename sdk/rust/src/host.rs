//! Outside of functions: what runs in tests.
use core::fmt;

/// See [`crate::log!`].
pub fn log(message: fmt::Arguments<'_>) {
    #[cfg(feature = "std")]
    std::eprintln!("{}", message);
    #[cfg(not(feature = "std"))]
    let _ = message;
}
