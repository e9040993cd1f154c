//! Docker and Swarm discovery beside a real engine: the one that `DOCKER_HOST` names, which
//! `scripts/test` starts where it can. Containers run BusyBox, from the machine's own program.

use std::future::Future;
use std::process::{Command, Stdio};
use std::time::Duration;

use periskop_core::discovery::Discovery;
use periskop_core::target::Labels;
use periskop_discovery::docker_sd::{DockerConfig, Filter};
use periskop_discovery::dockerswarm_sd::{DockerSwarmConfig, Role};
use periskop_discovery::http_client::HttpClientConfig;
use periskop_discovery::{BuildOptions, DiscoveryConfig};
use periskop_tests::skip;
use tokio::runtime::Runtime;
use tokio::time::timeout;

const BUSYBOX: &str = "/bin/busybox";
const OFTEN: Duration = Duration::from_millis(100);

/// What Docker's own command line says.
fn docker(args: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("docker: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// Where the engine is, if there is one that can be used.
fn engine() -> Result<String, String> {
    let host = std::env::var("DOCKER_HOST").map_err(|_| "DOCKER_HOST names no engine")?;
    docker(&["version"]).map_err(|why| format!("the engine of DOCKER_HOST: {why}"))?;
    Ok(host)
}

/// Things of an engine with one name, which is nobody else's; they go with it.
struct Things {
    name: String,
}

impl Things {
    /// With an image whose only program is BusyBox.
    fn with_image(what: &str) -> Result<Self, String> {
        let things = Self { name: format!("periskop-{what}-{}", std::process::id()) };
        let import = format!("tar -C / -c {} | docker import - {}", &BUSYBOX[1..], things.name);
        let imported = Command::new("sh").args(["-c", &import]).stdout(Stdio::null()).status();
        if !imported.is_ok_and(|status| status.success()) {
            return Err("no image can be made".into());
        }
        // One that needs libraries does not run alone.
        docker(&["run", "--rm", "--network", "none", &things.name, BUSYBOX, "true"])
            .map_err(|why| format!("{BUSYBOX} does not run in a container: {why}"))?;
        Ok(things)
    }

    fn filter(&self, name: &str) -> Vec<Filter> {
        vec![Filter { name: name.into(), values: vec![self.name.clone()] }]
    }
}

impl Drop for Things {
    fn drop(&mut self) {
        // Whatever of them there is.
        for args in [&["service", "rm"][..], &["rm", "--force"], &["rmi", "--force"]] {
            let _ = docker(&[args, &[&self.name]].concat());
        }
    }
}

fn build(config: &DiscoveryConfig) -> Box<dyn Discovery> {
    let options = BuildOptions { refresh_interval: Some(OFTEN), ..BuildOptions::default() };
    config.build(&options).expect("the engine's address can be used")
}

/// Looks until what is found is as wanted. The whole fleet is one group.
async fn until(
    discovery: &mut Box<dyn Discovery>,
    wanted: impl Fn(&[Labels]) -> bool,
) -> Vec<Labels> {
    loop {
        for group in discovery.next().await.expect("the engine answers") {
            if wanted(&group.targets) {
                return group.targets;
            }
        }
    }
}

fn run(test: impl Future<Output = ()>) {
    Runtime::new().expect("a runtime can be made").block_on(async {
        timeout(periskop_tests::PATIENCE, test).await.expect("nothing more came");
    });
}

#[test]
fn a_container_is_found_as_long_as_it_runs() {
    let ready = engine().and_then(|host| Ok((host, Things::with_image("container")?)));
    let (host, things) = match ready {
        Ok(ready) => ready,
        Err(why) => return skip(why),
    };
    let name = things.name.as_str();
    let arguments = ["run", "--detach", "--name", name, "--network", "host", "--label", "a.b=c"];
    let started = docker(&[&arguments[..], &[name, BUSYBOX, "sleep", "600"]].concat());
    let id = started.expect("a container can be started");
    run(async {
        let mut discovery = build(&DiscoveryConfig::new(DockerConfig {
            host,
            port: 80,
            filters: things.filter("name"),
            host_networking_host: "here".into(),
            match_first_network: true,
            refresh_interval: OFTEN * 100,
            http: HttpClientConfig::default(),
        }));
        let targets = until(&mut discovery, |targets| targets.len() == 1).await;
        let label = |label: &str| targets[0].get(&format!("__meta_docker_{label}")).to_owned();
        assert_eq!(targets[0].get("__address__"), "here");
        assert_eq!(label("container_id"), id);
        assert_eq!(label("container_name"), format!("/{name}"));
        assert_eq!(label("container_image"), name);
        assert_eq!(label("container_network_mode"), "host");
        assert_eq!(label("container_label_a_b"), "c");
        assert_eq!(label("network_name"), "host");
        assert_eq!(label("network_scope"), "local");

        docker(&["kill", name]).expect("it runs");
        until(&mut discovery, <[Labels]>::is_empty).await;
    });
}

/// A manager's engine.
fn manager() -> Result<String, String> {
    let host = engine()?;
    match docker(&["info", "--format", "{{.Swarm.ControlAvailable}}"])?.as_str() {
        "true" => Ok(host),
        _ => Err("the engine of DOCKER_HOST is no manager of a swarm".into()),
    }
}

fn swarm(host: &str, role: Role, filters: Vec<Filter>) -> Box<dyn Discovery> {
    build(&DiscoveryConfig::new(DockerSwarmConfig {
        host: host.into(),
        role,
        port: 8080,
        filters,
        refresh_interval: OFTEN * 100,
        http: HttpClientConfig::default(),
    }))
}

#[test]
fn the_nodes_of_a_swarm_are_found() {
    let host = match manager() {
        Ok(host) => host,
        Err(why) => return skip(why),
    };
    let format = "{{.ID}} {{.Status.Addr}} {{.Description.Hostname}} {{.Spec.Role}}";
    let this = docker(&["node", "inspect", "self", "--format", format]).expect("it is a manager");
    run(async {
        let mut discovery = swarm(&host, Role::Nodes, Vec::new());
        let targets = until(&mut discovery, |targets| !targets.is_empty()).await;
        let found = targets.iter().any(|target| {
            let node = |label: &str| target.get(&format!("__meta_dockerswarm_node_{label}"));
            let address = node("address");
            assert_eq!(target.get("__address__"), format!("{address}:8080"));
            this == format!("{} {address} {} {}", node("id"), node("hostname"), node("role"))
        });
        assert!(found, "{this} is not among {targets:?}");
    });
}

#[test]
fn a_service_of_a_swarm_is_found_with_its_tasks() {
    let ready = manager().and_then(|host| Ok((host, Things::with_image("service")?)));
    let (host, things) = match ready {
        Ok(ready) => ready,
        Err(why) => return skip(why),
    };
    let name = things.name.as_str();
    let arguments = ["service", "create", "--detach", "--name", name, "--publish", "target=80"];
    let made =
        docker(&[&arguments[..], &["--label", "a.b=c", name, BUSYBOX, "sleep", "600"]].concat());
    made.expect("a service can be made");
    run(async {
        let mut services = swarm(&host, Role::Services, things.filter("name"));
        let targets = until(&mut services, |targets| targets.len() == 1).await;
        let format = "{{range .Endpoint.VirtualIPs}}{{.Addr}}{{end}} \
                      {{range .Endpoint.Ports}}{{.PublishedPort}}{{end}}";
        let inspected = docker(&["service", "inspect", name, "--format", format]);
        let inspected = inspected.expect("it was made");
        let (prefix, port) = inspected.split_once(' ').expect("an address and a port");
        let ip = prefix.split('/').next().unwrap_or_default();
        assert_eq!(targets[0].get("__address__"), format!("{ip}:{port}"));
        let label = |label: &str| targets[0].get(&format!("__meta_dockerswarm_{label}")).to_owned();
        assert_eq!(label("service_name"), name);
        assert_eq!(label("service_label_a_b"), "c");
        assert_eq!(label("service_mode"), "replicated");
        assert_eq!(label("service_endpoint_port_publish_mode"), "ingress");
        assert_eq!(label("network_ingress"), "true");

        let mut tasks = swarm(&host, Role::Tasks, things.filter("service"));
        let targets = until(&mut tasks, |targets| !targets.is_empty()).await;
        for task in &targets {
            assert_eq!(task.get("__meta_dockerswarm_service_name"), name);
            assert_eq!(task.get("__meta_dockerswarm_task_slot"), "1");
            assert!(task.get("__address__").ends_with(&format!(":{port}")), "{task:?}");
        }
    });
}
