//! The server as a process: what it shows of a fleet, keeps, forgets and survives.

mod demo;
mod examples;
mod forgetting;
mod hostile_targets;
mod openapi;
mod stores;
mod totals;
