//! Who this process is among those that share a database.
//!
//! A name belongs to its holder until the lease ends, by the database's clock. It is renewed with
//! every commit, and now and then where there is none. A process that ends gives its name back; one
//! that was killed is found out by whoever comes next on the same machine, since its process is
//! gone. Invariant: no name is ever used by two running processes; who finds that another one has
//! taken its name does not go on.

use std::fs;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use periskop_core::ReplicaId;

use super::dialect::{Dialect, Kind, Row, Statement};
use super::{Transaction, Trouble, Work, WorkKind};

/// How long a name belongs to whoever does not renew it.
const LEASE: Duration = Duration::from_secs(300);

/// Renewed after this long without a commit. Rarely, since that is a write where nothing happens;
/// several times within a lease, since a database may be away for a minute.
const RENEWED_AFTER: Duration = Duration::from_secs(100);

/// The name of this process, and the proof that it is its.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    name: ReplicaId,
    holder: [u8; 16],
    renewed: Instant,
}

impl Lease {
    pub(super) fn name(&self) -> ReplicaId {
        self.name
    }

    pub(super) fn id(&self) -> i64 {
        self.name.as_u64().cast_signed()
    }

    pub(super) fn is_to_be_renewed(&self) -> bool {
        self.renewed.elapsed() >= RENEWED_AFTER
    }

    /// Renews it as part of a transaction that may commit; `commits` are added to those of this
    /// process. The same lease, seen renewed, and how many commits there are now.
    pub(super) async fn renew<D: Dialect>(
        &self,
        transaction: &mut Transaction<'_, D>,
        commits: i64,
    ) -> Result<(Self, i64), Trouble> {
        let renewed = Instant::now();
        let update = Statement::new(
            D::SYNTAX,
            format!(
                "UPDATE periskop_observers SET leased_until = {} + {}, commits = commits + {commits} \
                 WHERE id = ",
                D::SYNTAX.now,
                LEASE.as_micros()
            ),
        );
        let update = update.value(self.id()).sql(" AND holder = ").value(self.holder.to_vec());
        transaction.execute(&update).await?;
        let select =
            Statement::new(D::SYNTAX, "SELECT commits FROM periskop_observers WHERE id = ")
                .value(self.id())
                .sql(" AND holder = ")
                .value(self.holder.to_vec());
        match transaction.rows(&select, &[Kind::Int]).await?.as_mut_slice() {
            [row] => Ok((Self { renewed, ..self.clone() }, row.int()?)),
            _ => Err(Trouble::Superseded),
        }
    }
}

/// Takes a name: one that nobody holds any more, else a fresh one.
pub(super) struct Take {
    fresh: ReplicaId,
    holder: [u8; 16],
    process: String,
}

impl Take {
    pub(super) fn new(fresh: ReplicaId) -> Self {
        Self { fresh, holder: rand::random(), process: process() }
    }
}

#[async_trait]
impl<D: Dialect> Work<D> for Take {
    type Done = Lease;
    const KIND: WorkKind = WorkKind::Writes;

    async fn work(&self, transaction: &mut Transaction<'_, D>) -> Result<Lease, Trouble> {
        const KINDS: &[Kind] = &[Kind::Int, Kind::Int, Kind::Text];
        let renewed = Instant::now();
        let now = D::SYNTAX.now;
        let all = Statement::new(
            D::SYNTAX,
            format!(
                "SELECT id, {}, process FROM periskop_observers ORDER BY id{}",
                D::SYNTAX.one_if(&format!("leased_until > {now}")),
                D::SYNTAX.for_update
            ),
        );
        let rows = transaction.rows(&all, KINDS).await?;
        let free = |mut row: Row| -> Result<Option<i64>, Trouble> {
            let id = row.int()?;
            let is_leased = row.int()? == 1;
            let holder = row.maybe_text()?;
            let is_held = is_leased && !holder.is_some_and(|holder| is_gone(&holder));
            Ok((!is_held).then_some(id))
        };
        let free = rows.into_iter().map(free).collect::<Result<Vec<_>, _>>()?;
        let until = format!("{now} + {}", LEASE.as_micros());
        let (statement, id) = match free.into_iter().flatten().next() {
            Some(id) => {
                let update = Statement::new(D::SYNTAX, "UPDATE periskop_observers SET holder = ")
                    .value(self.holder.to_vec())
                    .sql(", process = ")
                    .value(self.process.clone())
                    .sql(&format!(", leased_until = {until} WHERE id = "))
                    .value(id);
                (update, id)
            }
            None => {
                let id = self.fresh.as_u64().cast_signed();
                let insert = "INSERT INTO periskop_observers \
                              (id, commits, holder, process, leased_until) VALUES (";
                let insert = Statement::new(D::SYNTAX, insert)
                    .value(id)
                    .sql(", 0, ")
                    .value(self.holder.to_vec())
                    .sql(", ")
                    .value(self.process.clone())
                    .sql(&format!(", {until})"));
                (insert, id)
            }
        };
        transaction.execute(&statement).await?;
        let name = ReplicaId::from_u64(id.cast_unsigned());
        Ok(Lease { name, holder: self.holder, renewed })
    }
}

/// Renews a name where nothing is written.
pub(super) struct Renew(Lease);

impl Renew {
    pub(super) fn new(lease: &Lease) -> Self {
        Self(lease.clone())
    }
}

#[async_trait]
impl<D: Dialect> Work<D> for Renew {
    type Done = Lease;
    const KIND: WorkKind = WorkKind::Writes;

    async fn work(&self, transaction: &mut Transaction<'_, D>) -> Result<Lease, Trouble> {
        Ok(self.0.renew(transaction, 0).await?.0)
    }
}

/// Gives a name back.
pub(super) struct GiveBack {
    pub(super) lease: Lease,
}

#[async_trait]
impl<D: Dialect> Work<D> for GiveBack {
    type Done = ();
    const KIND: WorkKind = WorkKind::Writes;

    async fn work(&self, transaction: &mut Transaction<'_, D>) -> Result<(), Trouble> {
        let back = "UPDATE periskop_observers SET holder = NULL, process = NULL, leased_until = NULL \
                    WHERE id = ";
        let back = Statement::new(D::SYNTAX, back).value(self.lease.id()).sql(" AND holder = ");
        transaction.execute(&back.value(self.lease.holder.to_vec())).await?;
        Ok(())
    }
}

/// This process, as another one on this machine can find out whether it still runs: the machine
/// since its boot, the namespace in which the number counts, the number, and when it began.
fn process() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let pid = std::process::id();
    match place() {
        Some(place) => {
            let began = began(pid).unwrap_or_default();
            format!("{} {place} {pid} {began}", host.trim())
        }
        None => format!("{} - {pid} -", host.trim()),
    }
}

/// Whether the process is surely gone. Where that cannot be told, it is not.
fn is_gone(process: &str) -> bool {
    let mut parts = process.split(' ').rev();
    let (Some(began_then), Some(pid), Some(place_then)) =
        (parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (Some(here), Ok(pid)) = (place(), pid.parse::<u32>()) else { return false };
    here == place_then && began(pid).as_deref() != Some(began_then)
}

/// The boot of this machine and the namespace of process numbers, where Linux tells.
fn place() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}/{}", boot.trim(), namespace.display()))
}

/// When a process began, in ticks since the boot; `None` if there is none.
fn began(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program may hold anything, and ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    // A zombie does nothing any more.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_is_not_gone_and_one_that_ended_is() {
        assert!(!is_gone(&process()));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (place, pid) = (place().unwrap(), child.id());
        let said = format!("host {place} {pid} {}", began(pid).unwrap());
        assert!(!is_gone(&said));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_gone(&said));
    }

    #[test]
    fn of_another_machine_and_of_nonsense_nothing_is_known() {
        for said in ["", "host", "host elsewhere/pid:[1] 1 1", "host - 1 -", "a b c d e"] {
            assert!(!is_gone(said), "{said}");
        }
    }

    #[test]
    fn another_process_with_the_same_number_is_another_process() {
        let said = format!("host {} {} 0", place().unwrap(), std::process::id());
        assert!(is_gone(&said));
    }
}
