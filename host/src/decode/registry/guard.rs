//! What stands between a registry's bytes and whoever parses them: no more than a bound is read, and what is a page, a redirect or a
//! server's failure is none of a registry's answers.

use reqwest::{Request, Response, StatusCode};
use reqwest_middleware::{Error as MiddlewareError, Middleware, Next, Result as MiddlewareResult};

/// The most bytes of an answer.
const MOST_BYTES: usize = 8 << 20;

/// Status and body, if the body ends within its bound.
pub async fn bounded(mut response: Response) -> Result<(StatusCode, Vec<u8>), String> {
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get("location").and_then(|to| to.to_str().ok()).unwrap_or("somewhere");
        return Err(format!("it redirects to {to}, which is not followed"));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|bad| format!("the answer ends too early: {bad}"))? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err(format!("the answer has more than {MOST_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, body))
}

/// Looks at each answer before the converter does.
pub struct Guard;

#[async_trait::async_trait]
impl Middleware for Guard {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> MiddlewareResult<Response> {
        let response = next.run(request, extensions).await?;
        let refuse = |why: String| MiddlewareError::Middleware(anyhow::anyhow!(why));
        let (status, body) = bounded(response).await.map_err(refuse)?;
        if status.is_server_error() {
            return Err(refuse(format!("it answers {status}")));
        }
        if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
            return Err(refuse(format!("it answers {status} and no JSON")));
        }
        let rebuilt = http::Response::builder().status(status).body(body);
        Ok(Response::from(rebuilt.expect("the status is one that was received")))
    }
}
