use alloc::string::{String, ToString};
use core::fmt;

/// Why a function fails: an exit code, and a message for its stderr.
///
/// Everything that can be displayed becomes an error with the exit code 1, so
/// that `?` works on the errors of other libraries, and `Err("no such colour")?`
/// on texts.
pub struct Error {
    code: i32,
    message: String,
}

impl Error {
    /// An error with an exit code from 1 to 255. Codes outside of that become 1.
    pub fn new(code: i32, message: impl fmt::Display) -> Error {
        let code = if (1..=255).contains(&code) { code } else { 1 };
        Error { code, message: message.to_string() }
    }

    /// The exit code.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

// It excludes `Display` and `std::error::Error` for `Error` itself.
impl<E: fmt::Display> From<E> for Error {
    fn from(error: E) -> Error {
        Error::new(1, error)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (exit code {})", self.message, self.code)
    }
}
