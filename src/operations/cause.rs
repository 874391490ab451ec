//! Why the operating system refused, in the words that a shell would use.

use std::io;

/// The cause of a failure, without the number that the standard library puts behind it.
pub(super) fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text).to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_left_out() {
        let missing = std::fs::File::open("/nowhere/at/all").expect_err("missing");
        assert_eq!(cause(&missing), "No such file or directory");
        assert_eq!(cause(&io::Error::other("of our own")), "of our own");
    }
}
