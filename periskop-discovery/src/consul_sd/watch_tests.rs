//! The watch beside an agent that answers as written, in virtual time.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use periskop_core::discovery::Discovery as _;
use tokio::time::timeout;

use super::*;
use crate::watching::Watching;

type Script<T> = VecDeque<Result<Indexed<T>, &'static str>>;

/// Answers one after the other; when there are no more, a question is never answered.
#[derive(Default)]
struct Scripted {
    services: Mutex<Script<Services>>,
    instances: Mutex<BTreeMap<String, Script<Vec<Entry>>>>,
    asked: Mutex<Vec<(String, Option<u64>, Instant)>>,
}

impl Scripted {
    fn catalogue(self, index: u64, names: &[&str]) -> Self {
        let value = names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
        let answer = Ok(Indexed { index: Some(index), value });
        self.services.lock().unwrap().push_back(answer);
        self
    }

    fn service(
        self,
        name: &str,
        answers: impl IntoIterator<Item = Result<(Option<u64>, usize), &'static str>>,
    ) -> Self {
        let answers = answers.into_iter().map(|answer| {
            answer.map(|(index, instances)| Indexed {
                index,
                value: vec![Entry::default(); instances],
            })
        });
        self.instances.lock().unwrap().insert(name.into(), answers.collect());
        self
    }

    async fn next<T>(
        &self,
        what: &str,
        after: Option<u64>,
        answer: Option<Result<Indexed<T>, &'static str>>,
    ) -> Result<Indexed<T>, DiscoveryError> {
        self.asked.lock().unwrap().push((what.into(), after, Instant::now()));
        match answer {
            Some(answer) => answer.map_err(|reason| DiscoveryError::Invalid {
                endpoint: what.into(),
                reason: reason.into(),
            }),
            None => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Agent for Arc<Scripted> {
    async fn datacenter(&self) -> Result<String, DiscoveryError> {
        Ok("dc1".into())
    }

    async fn services(&self, after: Option<u64>) -> Result<Indexed<Services>, DiscoveryError> {
        let answer = self.services.lock().unwrap().pop_front();
        self.next("catalogue", after, answer).await
    }

    async fn instances(
        &self,
        service: &str,
        after: Option<u64>,
    ) -> Result<Indexed<Vec<Entry>>, DiscoveryError> {
        let script = self.instances.lock().unwrap().get_mut(service).map(VecDeque::pop_front);
        self.next(service, after, script.flatten()).await
    }
}

const INTERVAL: Duration = Duration::from_secs(30);

fn watching(agent: &Arc<Scripted>, services: &[&str]) -> Watching {
    let watch = Watch {
        agent: agent.clone(),
        scope: Scope {
            services: services.iter().map(|name| (*name).to_owned()).collect(),
            tags: Vec::new(),
        },
        asks_catalogue: services.is_empty(),
        datacenter: None,
        tag_separator: ",".into(),
        pace: Pace { every: INTERVAL, retry: RETRY },
    };
    Watching::new(|teller| watch.run(teller))
}

/// Sources with the number of their targets.
async fn told(watching: &mut Watching) -> Vec<(String, usize)> {
    let groups = watching.next().await.unwrap();
    groups.into_iter().map(|group| (group.source, group.targets.len())).collect()
}

fn sizes(groups: &[(&str, usize)]) -> Vec<(String, usize)> {
    groups.iter().map(|(source, targets)| ((*source).to_owned(), *targets)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_sync_waits_for_all_services_but_not_for_ever() {
    let agent = Scripted::default()
        .catalogue(1, &["a", "b", "silent"])
        .service("a", [Ok((Some(1), 1))])
        .service("b", [Ok((Some(1), 2))]);
    let begin = Instant::now();
    let mut watching = watching(&Arc::new(agent), &[]);
    let mut first = told(&mut watching).await;
    first.sort();
    assert_eq!(first, sizes(&[("a", 1), ("b", 2)]));
    assert_eq!(begin.elapsed(), FIRST_SYNC);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_leaves_the_catalogue_is_emptied_and_no_longer_asked_for() {
    let agent = Arc::new(
        Scripted::default()
            .catalogue(1, &["a", "b"])
            .catalogue(2, &["b", "c"])
            .service("a", [Ok((Some(1), 1))])
            .service("b", [Ok((Some(1), 1))])
            .service("c", [Ok((Some(1), 3))]),
    );
    let mut watching = watching(&agent, &[]);
    let mut first = told(&mut watching).await;
    first.sort();
    assert_eq!(first, sizes(&[("a", 1), ("b", 1)]));
    let mut then = told(&mut watching).await;
    while then.len() < 2 {
        then.extend(told(&mut watching).await);
    }
    then.sort();
    assert_eq!(then, sizes(&[("a", 0), ("c", 3)]));
    let asked = agent.asked.lock().unwrap().len();
    assert!(timeout(INTERVAL * 5, watching.next()).await.is_err());
    let later = agent.asked.lock().unwrap();
    assert!(later[asked..].iter().all(|(what, ..)| what != "a"), "{later:?}");
}

#[tokio::test(start_paused = true)]
async fn an_index_that_goes_backwards_is_news_and_the_same_one_is_none() {
    let answers = [Ok((Some(9), 1)), Ok((Some(9), 5)), Ok((Some(3), 2)), Ok((Some(4), 3))];
    let agent = Arc::new(Scripted::default().service("a", answers));
    let mut watching = watching(&agent, &["a"]);
    for wanted in [1, 2, 3] {
        assert_eq!(told(&mut watching).await, sizes(&[("a", wanted)]));
    }
    let asked = agent.asked.lock().unwrap();
    let indexes: Vec<_> = asked.iter().map(|(_, after, _)| *after).collect();
    assert_eq!(indexes[..4], [None, Some(9), Some(9), Some(3)]);
}

#[tokio::test(start_paused = true)]
async fn without_an_index_every_answer_counts_and_the_interval_is_kept() {
    let answers = [Ok((None, 1)), Ok((None, 1)), Ok((None, 2))];
    let agent = Arc::new(Scripted::default().service("a", answers));
    let begin = Instant::now();
    let mut watching = watching(&agent, &["a"]);
    assert_eq!(told(&mut watching).await, sizes(&[("a", 1)]));
    assert_eq!(told(&mut watching).await, sizes(&[("a", 2)]), "what is the same is not told");
    assert_eq!(begin.elapsed(), INTERVAL * 2);
    assert!(agent.asked.lock().unwrap().iter().all(|(_, after, _)| after.is_none()));
}

#[tokio::test(start_paused = true)]
async fn an_error_keeps_what_is_known_and_waits() {
    let answers = [Ok((Some(1), 1)), Err("garbage"), Ok((Some(2), 2))];
    let agent = Arc::new(Scripted::default().service("a", answers));
    let begin = Instant::now();
    let mut watching = watching(&agent, &["a"]);
    assert_eq!(told(&mut watching).await, sizes(&[("a", 1)]));
    assert!(watching.next().await.unwrap_err().to_string().contains("garbage"));
    assert_eq!(begin.elapsed(), INTERVAL);
    assert_eq!(told(&mut watching).await, sizes(&[("a", 2)]));
    assert!(begin.elapsed() >= INTERVAL + RETRY);
    let asked = agent.asked.lock().unwrap();
    assert_eq!(asked[2].1, Some(1), "the question after an error is the same");
}

#[tokio::test(start_paused = true)]
async fn an_empty_catalogue_is_one_group_without_a_source() {
    let agent = Arc::new(Scripted::default().catalogue(1, &[]).catalogue(2, &[]));
    let mut watching = watching(&agent, &[]);
    assert_eq!(told(&mut watching).await, sizes(&[("", 0)]));
    assert!(timeout(INTERVAL * 3, watching.next()).await.is_err(), "and is told once");
}

#[tokio::test(start_paused = true)]
async fn dropping_it_ends_all_tasks() {
    let agent = Scripted::default().catalogue(1, &["a"]).service("a", [Ok((Some(1), 1))]);
    let agent = Arc::new(agent);
    let mut watching = watching(&agent, &[]);
    told(&mut watching).await;
    assert!(Arc::strong_count(&agent) > 1);
    drop(watching);
    while Arc::strong_count(&agent) > 1 {
        tokio::task::yield_now().await;
    }
}
