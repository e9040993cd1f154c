//! What is known of the cluster.

use std::collections::HashMap;

use super::objects::{
    EndpointSlice, Endpoints, Host, Ingress, Job, Namespace, Node, Pod, ReplicaSet, Resource,
    Service,
};

/// An object's name and namespace, which is `""` for what has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
}

impl Key {
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    pub(super) fn of(object: &impl Resource) -> Self {
        Self::new(object.namespace(), object.name())
    }
}

/// All objects of a kind.
#[derive(Debug)]
pub(super) struct Store<T> {
    namespaces: HashMap<Box<str>, HashMap<Box<str>, T>>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self { namespaces: HashMap::new() }
    }
}

/// What a watch tells of the objects of a kind.
#[derive(Debug)]
pub(super) enum Change<T> {
    /// These are all that there are.
    All(Vec<T>),
    /// This one is new, or is another now.
    Is(T),
    /// This one is no more.
    Gone(Key),
    /// None, but what went wrong is over.
    Nothing,
}

/// An object that is not what it was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Changed<T> {
    pub(super) key: Key,
    pub(super) before: Option<T>,
}

impl<T: Resource> Store<T> {
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&T> {
        self.namespaces.get(namespace)?.get(name)
    }

    /// The names of all objects in a namespace.
    pub(super) fn names(&self, namespace: &str) -> impl Iterator<Item = &str> {
        self.namespaces.get(namespace).into_iter().flat_map(|objects| objects.keys().map(|n| &**n))
    }

    /// Takes in what a watch tells that looks at `scope`, which is all namespaces where it is
    /// `None`. Objects that are what they were are none of the answer.
    pub(super) fn apply(&mut self, change: Change<T>, scope: Option<&str>) -> Vec<Changed<T>> {
        let in_scope = |namespace: &str| scope.is_none_or(|scope| scope == namespace);
        match change {
            Change::All(objects) => self.replace(objects, scope),
            Change::Is(object) if in_scope(object.namespace()) => {
                self.insert(object).into_iter().collect()
            }
            Change::Gone(key) if in_scope(&key.namespace) => self.remove(key).into_iter().collect(),
            // A server that mixes namespaces up must not mix up what other watches tell.
            Change::Is(_) | Change::Gone(_) | Change::Nothing => Vec::new(),
        }
    }

    fn insert(&mut self, object: T) -> Option<Changed<T>> {
        let objects = self.namespaces.entry(object.namespace().into()).or_default();
        match objects.get_mut(object.name()) {
            Some(known) if *known == object => None,
            Some(known) => {
                let key = Key::of(&object);
                Some(Changed { key, before: Some(std::mem::replace(known, object)) })
            }
            None => {
                let key = Key::of(&object);
                objects.insert(key.name.clone(), object);
                Some(Changed { key, before: None })
            }
        }
    }

    fn remove(&mut self, key: Key) -> Option<Changed<T>> {
        let objects = self.namespaces.get_mut(&key.namespace)?;
        let before = objects.remove(&key.name)?;
        if objects.is_empty() {
            self.namespaces.remove(&key.namespace);
        }
        Some(Changed { key, before: Some(before) })
    }

    fn replace(&mut self, objects: Vec<T>, scope: Option<&str>) -> Vec<Changed<T>> {
        let mut before = match scope {
            None => std::mem::take(&mut self.namespaces),
            Some(namespace) => self.namespaces.remove_entry(namespace).into_iter().collect(),
        };
        let mut changed = Vec::new();
        for object in objects {
            if scope.is_some_and(|scope| scope != object.namespace()) {
                continue;
            }
            let of_namespace = before.get_mut(object.namespace());
            let known = of_namespace.and_then(|objects| objects.remove(object.name()));
            if known.as_ref() != Some(&object) {
                changed.push(Changed { key: Key::of(&object), before: known });
            }
            let objects = self.namespaces.entry(object.namespace().into()).or_default();
            objects.insert(object.name().into(), object);
        }
        for (namespace, objects) in before {
            changed.extend(objects.into_iter().map(|(name, object)| Changed {
                key: Key { namespace: namespace.clone(), name },
                before: Some(object),
            }));
        }
        changed
    }
}

/// All objects of all kinds. Those that nobody watches are not there.
#[derive(Debug, Default)]
pub(super) struct Stores {
    pub(super) pods: Store<Pod>,
    pub(super) services: Store<Service>,
    pub(super) endpoints: Store<Endpoints>,
    pub(super) slices: Store<EndpointSlice>,
    pub(super) nodes: Store<Node>,
    pub(super) hosts: Store<Host>,
    pub(super) ingresses: Store<Ingress>,
    pub(super) namespaces: Store<Namespace>,
    pub(super) replica_sets: Store<ReplicaSet>,
    pub(super) jobs: Store<Job>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;

    fn service(namespace: &str, name: &str, kind: &str) -> Service {
        let json = serde_json::json!({
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"type": kind},
        });
        go_json::from_value(json).unwrap()
    }

    fn keys(changed: &[Changed<Service>]) -> Vec<(String, bool)> {
        let mut keys: Vec<_> = changed
            .iter()
            .map(|c| (format!("{}/{}", c.key.namespace, c.key.name), c.before.is_some()))
            .collect();
        keys.sort();
        keys
    }

    #[test]
    fn a_new_list_changes_what_differs_and_removes_what_is_not_in_it() {
        let mut store = Store::default();
        let first = vec![service("a", "1", "x"), service("a", "2", "x"), service("b", "1", "x")];
        assert_eq!(store.apply(Change::All(first), None).len(), 3);
        let second = vec![service("a", "1", "x"), service("a", "2", "y"), service("a", "3", "x")];
        let changed = store.apply(Change::All(second), None);
        let told = |key: &str, before| (key.to_owned(), before);
        assert_eq!(keys(&changed), [told("a/2", true), told("a/3", false), told("b/1", true)]);
        assert!(store.get("b", "1").is_none());
    }

    #[test]
    fn a_list_of_one_namespace_says_nothing_of_others() {
        let mut store = Store::default();
        store.apply(Change::All(vec![service("a", "1", "x")]), Some("a"));
        store.apply(Change::All(vec![service("b", "1", "x"), service("a", "9", "x")]), Some("b"));
        assert!(store.get("a", "1").is_some() && store.get("b", "1").is_some());
        assert!(store.get("a", "9").is_none(), "not what was asked for");
        store.apply(Change::All(vec![]), Some("a"));
        assert!(store.get("a", "1").is_none() && store.get("b", "1").is_some());
    }

    #[test]
    fn what_is_told_again_is_no_change() {
        let mut store = Store::default();
        assert_eq!(store.apply(Change::Is(service("a", "1", "x")), None).len(), 1);
        assert_eq!(store.apply(Change::Is(service("a", "1", "x")), None), []);
        assert_eq!(store.apply(Change::Gone(Key::new("a", "1")), None).len(), 1);
        assert_eq!(store.apply(Change::Gone(Key::new("a", "1")), None), []);
    }
}
