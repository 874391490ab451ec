//! The command line: nobody imports it, and only it prints or ends the process.

pub mod graphviz;
