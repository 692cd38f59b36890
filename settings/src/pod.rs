//! Whose log a file is, as kubelet names it.

use std::path::Path;

use serde_json::{Map, Value, json};

/// A container of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pod {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid, where the path tells it.
    pub uid: Option<String>,
    /// The container's name.
    pub container: String,
}

impl Pod {
    /// From `.../NAMESPACE_POD_UID/CONTAINER/N.log` as below `/var/log/pods`, or `.../POD_NAMESPACE_CONTAINER-ID.log` as in
    /// `/var/log/containers`. No name holds an underscore.
    pub fn of(path: &Path) -> Option<Self> {
        let stem = path.file_name()?.to_str()?.strip_suffix(".log")?;
        if stem.bytes().all(|byte| byte.is_ascii_digit()) {
            let container = path.parent()?;
            let pod = container.parent()?.file_name()?.to_str()?;
            let [namespace, name, uid] = three(pod)?;
            let container = container.file_name()?.to_str()?.to_owned();
            return Some(Self {
                namespace,
                name,
                uid: Some(uid),
                container,
            });
        }
        let [name, namespace, container] = three(stem)?;
        let (container, id) = container.rsplit_once('-')?;
        let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_id && !container.is_empty()).then(|| Self {
            namespace,
            name,
            uid: None,
            container: container.to_owned(),
        })
    }

    /// Puts it among the members of `kubernetes`, as Filebeat names them.
    pub fn put_into(&self, kubernetes: &mut Value) {
        if !kubernetes.is_object() {
            *kubernetes = Map::new().into();
        }
        kubernetes["namespace"] = json!(self.namespace);
        for (member, name, value) in [
            ("pod", "name", Some(&self.name)),
            ("pod", "uid", self.uid.as_ref()),
            ("container", "name", Some(&self.container)),
        ] {
            if !kubernetes[member].is_object() {
                kubernetes[member] = Map::new().into();
            }
            if let Some(value) = value {
                kubernetes[member][name] = json!(value);
            }
        }
    }
}

/// Three names joined by underscores.
fn three(text: &str) -> Option<[String; 3]> {
    let parts: Vec<&str> = text.split('_').collect();
    let [first, second, third] = parts[..] else { return None };
    let are_names = parts.iter().all(|part| !part.is_empty());
    are_names.then(|| [first, second, third].map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_whose_log_it_is() {
        let pod = |path: &str| Pod::of(Path::new(path));
        let expected = Pod {
            namespace: "shop".into(),
            name: "web-7d4b9c-x2x5p".into(),
            uid: Some("0f7a-11".into()),
            container: "main".into(),
        };
        assert_eq!(
            pod("/host/var/log/pods/shop_web-7d4b9c-x2x5p_0f7a-11/main/12.log"),
            Some(expected.clone())
        );
        let id = "0123456789abcdef".repeat(4);
        let link = format!("/var/log/containers/web-7d4b9c-x2x5p_shop_side-car-{id}.log");
        let side_car = Pod {
            uid: None,
            container: "side-car".into(),
            ..expected.clone()
        };
        assert_eq!(pod(&link), Some(side_car));
        for other in [
            "/var/log/app.log",
            "/var/log/pods/a_b/main/0.log",
            "/0.log",
            "/a_b_c-d.log",
            "/l/a_b_c/m/x.log",
        ] {
            assert_eq!(pod(other), None, "{other}");
        }
        let mut members = json!({"node": {"name": "n"}, "pod": {"labels": "l"}});
        expected.put_into(&mut members);
        assert_eq!(
            members,
            json!({
                "node": {"name": "n"},
                "namespace": "shop",
                "pod": {"labels": "l", "name": "web-7d4b9c-x2x5p", "uid": "0f7a-11"},
                "container": {"name": "main"},
            })
        );
    }
}
