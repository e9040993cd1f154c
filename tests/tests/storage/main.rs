//! Every store beside its real database: what it keeps, what it costs, and what happens if things fail.

mod churn;
mod databases;
mod faults;
mod queries;
mod sql;
mod together;
