//! Rows as lines, their columns separated by tabs.

use std::fmt::Display;

/// A tuple of what can be shown.
pub trait Row: Clone + Send {
    fn line(&self) -> String;
}

impl Row for i64 {
    fn line(&self) -> String {
        self.to_string()
    }
}

macro_rules! tuples {
    ($($first:ident $($other:ident)+,)+) => {$(
        #[expect(non_snake_case, reason = "columns have the names of their types")]
        impl<$first: Clone + Display + Send, $($other: Clone + Display + Send),+> Row for ($first, $($other),+) {
            fn line(&self) -> String {
                let ($first, $($other),+) = self;
                let mut line = $first.to_string();
                $(
                    line.push('\t');
                    line.push_str(&$other.to_string());
                )+
                line
            }
        }
    )+};
}

tuples! {
    A B,
    A B C,
    A B C D,
    A B C D E,
    A B C D E F,
}
