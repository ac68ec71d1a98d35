//! Where a redirect leads, and what goes along.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Uri, header};

/// The request that a redirect asks for, if it can be followed.
///
/// To another origin go only headers that are no credentials, and no body: the one who
/// redirects does not decide who may read them.
pub(super) fn redirected(
    request: &Request<Bytes>,
    status: StatusCode,
    headers: &HeaderMap,
) -> Option<Request<Bytes>> {
    let keeps = match status {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        // By custom a post becomes a get, and everything else stays what it is.
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => request.method() != Method::POST,
        StatusCode::SEE_OTHER => matches!(*request.method(), Method::GET | Method::HEAD),
        _ => return None,
    };
    let to = target(request.uri(), headers.get(header::LOCATION)?.to_str().ok()?)?;
    let same = origin(&to) == origin(request.uri());
    if keeps && !same && !request.body().is_empty() {
        return None;
    }
    let (method, body) = if keeps {
        (request.method().clone(), request.body().clone())
    } else {
        (Method::GET, Bytes::new())
    };
    let mut next = Request::new(body);
    *next.method_mut() = method;
    *next.uri_mut() = to;
    *next.headers_mut() = request.headers().clone();
    if !keeps {
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE] {
            next.headers_mut().remove(name);
        }
    }
    if !same {
        *next.headers_mut() = harmless(next.headers());
    }
    Some(next)
}

/// The address a `Location` means, without its fragment.
fn target(from: &Uri, location: &str) -> Option<Uri> {
    let mut to = url::Url::parse(&from.to_string()).ok()?.join(location).ok()?;
    to.set_fragment(None);
    to.as_str().parse().ok()
}

fn origin(uri: &Uri) -> (Option<&str>, Option<String>, u16) {
    let host = uri.host().map(str::to_ascii_lowercase);
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    (uri.scheme_str(), host, uri.port_u16().unwrap_or(default))
}

/// What may go, and not what may not: a credential can have any name.
fn harmless(headers: &HeaderMap) -> HeaderMap {
    const HARMLESS: [HeaderName; 5] = [
        header::ACCEPT,
        header::ACCEPT_ENCODING,
        header::ACCEPT_LANGUAGE,
        header::CONTENT_TYPE,
        header::USER_AGENT,
    ];
    headers
        .iter()
        .filter(|(name, _)| HARMLESS.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(
        method: &str,
        body: &'static str,
        status: u16,
        location: &str,
    ) -> Option<Request<Bytes>> {
        let request = Request::builder()
            .method(method)
            .uri("http://shop.test/a/b?c=d")
            .header("authorization", "Bearer x")
            .header("x-api-key", "y")
            .header("accept", "text/plain")
            .header("content-type", "application/json")
            .body(Bytes::from_static(body.as_bytes()))
            .unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, location.parse().unwrap());
        redirected(&request, StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn a_location_is_read_from_where_it_was_sent() {
        for (location, to) in [
            ("/x", "http://shop.test/x"),
            ("x?y#z", "http://shop.test/a/x?y"),
            ("//other.test/x", "http://other.test/x"),
            ("http://SHOP.test:80/x", "http://shop.test/x"),
        ] {
            assert_eq!(next("GET", "", 302, location).unwrap().uri().to_string(), to);
        }
    }

    #[test]
    fn methods_and_bodies_change_as_by_custom() {
        for (method, status, becomes, keeps_body) in [
            ("POST", 301, "GET", false),
            ("POST", 302, "GET", false),
            ("POST", 303, "GET", false),
            ("PUT", 302, "PUT", true),
            ("PUT", 303, "GET", false),
            ("POST", 307, "POST", true),
            ("POST", 308, "POST", true),
        ] {
            let next = next(method, "body", status, "/x").unwrap();
            assert_eq!((next.method().as_str(), !next.body().is_empty()), (becomes, keeps_body));
            assert_eq!(
                next.headers().contains_key("content-type"),
                keeps_body,
                "{method} {status}"
            );
            assert!(next.headers().contains_key("authorization"));
        }
    }

    #[test]
    fn credentials_and_bodies_stay_with_their_origin() {
        for location in ["http://other.test/", "http://shop.test:8080/", "https://shop.test/"] {
            let away = next("GET", "", 302, location).unwrap();
            let names: Vec<_> = away.headers().keys().map(HeaderName::as_str).collect();
            assert_eq!(names, ["accept", "content-type"], "{location}");
            assert!(next("POST", "body", 307, location).is_none(), "{location}");
            assert!(next("POST", "body", 303, location).unwrap().body().is_empty());
        }
    }

    #[test]
    fn what_is_no_redirect_is_an_answer() {
        assert!(next("GET", "", 200, "/x").is_none());
        assert!(next("GET", "", 304, "/x").is_none());
        assert!(next("GET", "", 300, "/x").is_none());
        assert!(next("GET", "", 302, "http://[bad").is_none());
    }
}
