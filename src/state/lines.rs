//! JSON that people can look into: on many lines as far as there is something to see, then on one.

use std::io::{self, Write};

use serde_json::ser::Formatter;

/// How deep an object may be and still have its fields on lines of their own.
const OBJECTS: usize = 3;
/// How deep a list may be: in a manifest, sections are lines, and workers are not taken apart.
const LISTS: usize = OBJECTS + 1;

/// Writes what is not too deep on lines of their own.
#[derive(Debug, Default)]
pub struct Lines {
    depth: usize,
    /// Something stands in what is being written.
    filled: bool,
}

impl Lines {
    fn begin<W: Write + ?Sized>(&mut self, writer: &mut W, sign: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        writer.write_all(sign)
    }

    fn end<W: Write + ?Sized>(&mut self, writer: &mut W, sign: &[u8], deepest: usize) -> io::Result<()> {
        let was = self.depth;
        self.depth = was.saturating_sub(1);
        if self.filled && was <= deepest {
            self.line(writer)?;
        }
        writer.write_all(sign)
    }

    fn entry<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool, deepest: usize) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        match self.depth <= deepest {
            true => self.line(writer),
            false if first => Ok(()),
            false => writer.write_all(b" "),
        }
    }

    fn line<W: Write + ?Sized>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b"  "))
    }
}

impl Formatter for Lines {
    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]", LISTS)
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.entry(writer, first, LISTS)
    }

    fn end_array_value<W: Write + ?Sized>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}", OBJECTS)
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.entry(writer, first, OBJECTS)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
}
