//! Runs the emulator and a registry until it is killed: `serve [--tls] [--dir DIR]`. Prints the addresses.

use std::net::SocketAddr;

use pelton_emulator::{Options, registry, start};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = Options { streams: vec![("demo".to_owned(), 2)], ..Options::default() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--tls" => options.tls_listen = Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            "--dir" => options.dir = Some(arguments.next().ok_or("--dir needs a directory")?.into()),
            other => return Err(format!("unknown argument '{other}'").into()),
        }
    }
    let below = options.dir.as_ref().map(|dir| dir.join("registry"));
    let registry = registry::start_with(registry::Options { dir: below, ..registry::Options::default() }).await?;
    let running = start(options).await?;
    println!("kinesis http://{}", running.addr());
    println!("registry {}", registry.url());
    if let (Some(addr), Some(pem)) = (running.tls_addr(), running.certificate_pem()) {
        println!("kinesis https://{addr}\n{pem}");
    }
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    registry.stop().await;
    Ok(())
}
