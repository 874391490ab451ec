//! How often was each word seen so far, in lines that a server sends? It runs until it is stopped. To try it:
//!
//! ```text
//! nc -lk 9999 &
//! skitter local -d socket-wordcount -- --address localhost:9999
//! ```

use skitter::clap;
use skitter::prelude::*;

#[derive(clap::Args)]
pub struct SocketWordCount {
    /// The server that sends lines of text
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    address: String,
}

pub fn socket_word_count(args: &SocketWordCount) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    workflow.listen(TcpSource::connect(&args.address)).words::<Word>().count_by(Word::clone).with(KeyedState).print();
    workflow.build()
}

fn address(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err("an address is HOST:PORT, for example localhost:9999".to_owned()),
    }
}
