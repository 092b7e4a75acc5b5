//! Whether a registry has a container image for a machine, by its digest.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::header::{ACCEPT, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(30);
// https://docs.docker.com/reference/api/registry/latest/
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// Asks for the manifest that `REGISTRY/REPOSITORY@DIGEST` names, as anybody may. One of several processors has to be for
/// `processor`, by its name in images.
pub(super) async fn resolve(reference: &str, processor: &str) -> Result<()> {
    let (name, digest) = reference.split_once('@').context("it has no digest")?;
    let (host, repository) = name.split_once('/').context("it names no registry")?;
    // A tag beside the digest is for people.
    let tag = repository.rfind(':').filter(|at| !repository[*at..].contains('/'));
    let repository = tag.map_or(repository, |at| &repository[..at]);
    let local = host.starts_with("127.0.0.1:") || host.starts_with("localhost:");
    let scheme = if local { "http" } else { "https" };
    let host = if host == DOCKER_HUB.0 { DOCKER_HUB.1 } else { host };
    let url = format!("{scheme}://{host}/v2/{repository}/manifests/{digest}");
    let client = Client::builder().timeout(DEADLINE).build().context("cannot make an HTTP client")?;
    let ask = |token: Option<String>| {
        let request = client.get(&url).header(ACCEPT, MANIFESTS);
        token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth).send()
    };
    let mut reply = ask(None).await.with_context(|| format!("{host} does not answer"))?;
    if reply.status() == StatusCode::UNAUTHORIZED {
        let token = token(&client, &reply).await?;
        reply = ask(Some(token)).await.with_context(|| format!("{host} does not answer"))?;
    }
    match reply.status() {
        status if status.is_success() => {}
        StatusCode::NOT_FOUND => bail!("{host} has no {repository} with {digest}"),
        status => bail!("{host} answers with status {status} for {repository}"),
    }
    let manifest = reply.bytes().await.with_context(|| format!("{host} breaks off"))?;
    if let Some(there) = processors(&manifest) {
        let fits = there.iter().any(|one| one == processor);
        ensure!(fits, "it has none for linux/{processor}, only for: {}", there.join(", "));
    }
    Ok(())
}

/// The processors that an index has an image of Linux for; none of a single image, whose manifest does not tell its own.
fn processors(manifest: &[u8]) -> Option<Vec<String>> {
    let manifest: Value = serde_json::from_slice(manifest).ok()?;
    let platforms = manifest["manifests"].as_array()?.iter().map(|one| &one["platform"]);
    let linux = platforms.filter(|platform| platform["os"] == "linux");
    Some(linux.filter_map(|platform| platform["architecture"].as_str().map(str::to_owned)).collect())
}

/// A token for reading, which public registries give to everybody who asks where they say.
async fn token(client: &Client, reply: &Response) -> Result<String> {
    let asked =
        reply.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let fields =
        asked.strip_prefix("Bearer ").context("the registry wants a login that this tool does not know")?;
    let field = |name: &str| fields.split(&format!("{name}=\"")).nth(1)?.split('"').next();
    let realm = field("realm").context("the registry does not say where tokens are given")?;
    let parameters: Vec<_> =
        ["service", "scope"].iter().filter_map(|name| Some((*name, field(name)?))).collect();
    let reply = client.get(realm).query(&parameters).send().await.context("no token can be had")?;
    ensure!(reply.status().is_success(), "no token for reading: status {}", reply.status());
    let body: Value = reply.json().await.context("the registry's token is damaged")?;
    let token = body["token"].as_str().or_else(|| body["access_token"].as_str());
    token.map(str::to_owned).context("the registry's reply holds no token")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_index_tells_its_processors_and_a_single_image_none() {
        let image = |os: &str, on: &str| json!({"platform": {"os": os, "architecture": on}});
        let index = json!({"manifests": [image("linux", "amd64"), image("windows", "arm64"), image("unknown", "unknown")]});
        let told = |manifest: &Value| processors(manifest.to_string().as_bytes());
        assert_eq!(told(&index), Some(vec!["amd64".to_owned()]));
        assert_eq!(told(&json!({"manifests": []})), Some(Vec::new()));
        assert_eq!(told(&json!({"config": {}, "layers": []})), None);
    }
}
