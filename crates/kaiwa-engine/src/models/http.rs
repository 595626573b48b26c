use std::{
    collections::HashMap,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ureq::{Agent, http::Response};

use super::{
    ModelError, ModelFile,
    landing::{Landing, Watch},
};

/// A closed network must not cost more than this per server.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A server that stays silent for so long has gone away.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// Downloads over HTTP(S), and remembers which servers cannot be reached.
#[derive(Debug, Default)]
pub(super) struct Http {
    /// Why, by host.
    unreachable: Mutex<HashMap<String, String>>,
}

impl Http {
    /// The error of an earlier attempt to reach the server of `url`.
    pub(super) fn known_failure(&self, url: &str) -> Option<ModelError> {
        let host = host(url);
        let reason = self.unreachable().get(host)?.clone();
        Some(ModelError::Unreachable {
            host: host.to_owned(),
            reason,
        })
    }

    /// Fetches `file` from `url` into `dir`, going on where a `.part` file stopped and
    /// reconnecting as long as each connection brings something.
    pub(super) fn fetch(
        &self,
        url: &str,
        dir: &Path,
        file: &ModelFile,
        watch: &mut Watch<'_>,
    ) -> Result<(), ModelError> {
        let mut landing = Landing::open(dir, file, true, watch)?;
        loop {
            let before = landing.done();
            let broke_off = if before == file.size {
                None
            } else {
                self.transfer(url, file, &mut landing, watch)?
            };
            match broke_off {
                Some(reason) if landing.done() <= before => {
                    return Err(ModelError::Interrupted {
                        url: url.to_owned(),
                        done: landing.done(),
                        total: file.size,
                        reason,
                    });
                }
                Some(_) => {}
                None => {
                    let resumed = landing.resumed();
                    match landing.finish(url) {
                        // The bytes of an earlier pull may be the bad ones: once more without.
                        Err(ModelError::WrongHash { .. }) if resumed => {
                            landing = Landing::open(dir, file, false, watch)?;
                        }
                        result => return result,
                    }
                }
            }
        }
    }

    /// One connection. `Some(reason)` when it ended before the file did.
    fn transfer(
        &self,
        url: &str,
        file: &ModelFile,
        landing: &mut Landing<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Option<String>, ModelError> {
        let host = host(url);
        let mut request = agent(host).get(url);
        if landing.done() > 0 {
            request = request.header("Range", format!("bytes={}-", landing.done()));
        }
        let mut response = match request.call() {
            Ok(response) => response,
            Err(error) => {
                let reason = error.to_string();
                self.unreachable().insert(host.to_owned(), reason.clone());
                return Err(ModelError::Unreachable {
                    host: host.to_owned(),
                    reason,
                });
            }
        };
        let wrong_size = |actual| {
            Err(ModelError::WrongSize {
                origin: url.to_owned(),
                expected: file.size,
                actual,
            })
        };
        match response.status().as_u16() {
            200 => {
                landing.restart()?;
                if let Some(length) = header(&response, "content-length")
                    .and_then(|length| length.parse().ok())
                    .filter(|length| *length != file.size)
                {
                    return wrong_size(length);
                }
            }
            206 => match header(&response, "content-range").and_then(content_range) {
                Some((start, total)) if start == landing.done() => {
                    if let Some(total) = total.filter(|total| *total != file.size) {
                        landing.restart()?;
                        return wrong_size(total);
                    }
                }
                _ => {
                    landing.restart()?;
                    return Ok(Some("the server resumed at a wrong place".to_owned()));
                }
            },
            // The part is longer than the file there: begin again.
            416 if landing.done() > 0 => {
                landing.restart()?;
                return self.transfer(url, file, landing, watch);
            }
            status => {
                return Err(ModelError::HttpStatus {
                    url: url.to_owned(),
                    status,
                });
            }
        }
        let mut body = response.body_mut().as_reader();
        Ok(match landing.append(&mut body, url, watch)? {
            Ok(()) if landing.done() == file.size => None,
            Ok(()) => Some("the connection was closed".to_owned()),
            Err(error) => Some(error.to_string()),
        })
    }

    fn unreachable(&self) -> MutexGuard<'_, HashMap<String, String>> {
        // A map of names is valid at every step.
        self.unreachable
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn agent(host: &str) -> Agent {
    let config = Agent::config_builder()
        .user_agent(concat!("kaiwa/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .timeout_resolve(Some(CONNECT_LIMIT))
        .timeout_connect(Some(CONNECT_LIMIT))
        .timeout_recv_response(Some(SILENCE_LIMIT))
        .timeout_per_read(Some(SILENCE_LIMIT));
    // Proxies are taken from the environment, but none stands between us and ourselves.
    if matches!(host, "127.0.0.1" | "localhost" | "[::1]") {
        config.proxy(None).build().into()
    } else {
        config.build().into()
    }
}

/// Host of an `http(s)` address, without port.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn header<'a, B>(response: &'a Response<B>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// Start and total of `bytes 5-9/10`; the total may be `*`.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, total.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ranges() {
        assert_eq!(host("https://huggingface.co/a/b"), "huggingface.co");
        assert_eq!(host("http://u:p@127.0.0.1:80?x"), "127.0.0.1");
        assert_eq!(host("http://[::1]:8080/"), "[::1]");
        assert_eq!(host("http://[::1]"), "[::1]");
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(content_range("bytes */10"), None);
    }
}
