//! A fleet on the wall's time: what is due happens, and everybody who has to know is told.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::addresses::{Addresses, Listening};
use super::config::Configuration;
use super::serve::{Serving, Shared, now};
use super::{Happened, Moved};

/// The longest pause between two looks at what is due.
const LOOK: Duration = Duration::from_millis(50);
/// How often targets are written at most.
const WRITE: Duration = Duration::from_secs(1);

/// A fleet that listens, and whose targets are written where a server finds them.
#[derive(Debug)]
pub struct Playing {
    fleet: Shared,
    addresses: Addresses,
    serving: Option<Serving>,
    configuration: Option<Configuration>,
    /// Services whose targets are to be written.
    moved: Vec<bool>,
    written: Instant,
}

impl Playing {
    /// Writes the configuration and listens for every instance. Called within a runtime.
    ///
    /// # Errors
    ///
    /// An address is taken, or the configuration cannot be written.
    pub fn begin(
        fleet: Shared,
        addresses: Addresses,
        listening: Listening,
        configuration: Option<Configuration>,
    ) -> io::Result<Self> {
        let serving = Some(Serving::begin(fleet.clone(), addresses, listening)?);
        if let Some(configuration) = &configuration {
            configuration.write(&fleet.lock(), addresses)?;
        }
        Ok(Self { serving, ..Self::silent(fleet, addresses, configuration) })
    }

    /// A fleet that does not listen; it pushes to these gateways, which a server can scrape.
    ///
    /// # Errors
    ///
    /// The configuration cannot be written.
    pub fn pushing(
        fleet: Shared,
        addresses: Addresses,
        gateways: &[String],
        configuration: Option<&Configuration>,
    ) -> io::Result<Self> {
        if let Some(configuration) = configuration {
            configuration.write_gateways(fleet.lock().plan(), gateways)?;
        }
        Ok(Self::silent(fleet, addresses, None))
    }

    fn silent(fleet: Shared, addresses: Addresses, configuration: Option<Configuration>) -> Self {
        let moved = vec![false; fleet.lock().plan().services];
        Self { fleet, addresses, serving: None, configuration, moved, written: Instant::now() }
    }

    /// Has happen what is due. How long nothing is due then, and what has happened so far.
    ///
    /// # Errors
    ///
    /// A new instance cannot listen, or cannot be written down.
    pub fn step(&mut self) -> io::Result<(Duration, Happened)> {
        let (moved, happened, next) = {
            let mut fleet = self.fleet.lock();
            fleet.advance(now());
            (fleet.take_moved(), fleet.happened(), fleet.next())
        };
        for Moved { service, .. } in &moved {
            self.moved[*service] = true;
        }
        // Who is written down must listen already.
        if let Some(serving) = &mut self.serving {
            serving.follow(&moved)?;
        }
        if self.written.elapsed() >= WRITE {
            self.write_targets()?;
        }
        let pause = next.map_or(LOOK, |next| next.since(now()));
        Ok((pause.clamp(Duration::from_millis(1), LOOK), happened))
    }

    /// Writes where those are who moved.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub fn write_targets(&mut self) -> io::Result<()> {
        let Some(configuration) = &self.configuration else { return Ok(()) };
        if !self.moved.contains(&true) {
            return Ok(());
        }
        self.written = Instant::now();
        let moved = &self.moved;
        configuration
            .write_targets(&self.fleet.lock(), self.addresses, |service| moved[service])?;
        self.moved.fill(false);
        Ok(())
    }
}
