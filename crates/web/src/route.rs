//! One row of the table of routes: how a route is called, who may call it, and all that can come of
//! it.

use axum::handler::Handler;
use axum::routing::{MethodRouter, delete, get, patch, post};
use recto_protocol::token::Scope;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::state::Shared;

/// The methods that routes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Looks.
    Get,
    /// Makes or does.
    Post,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// Its name in HTTP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A route with its handler.
pub(crate) struct Route {
    pub(crate) operation: Operation,
    pub(crate) handler: MethodRouter<Shared>,
}

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a route is, for the OpenAPI document and for tests that go over all of them.
pub struct Operation {
    /// Its method.
    pub method: Method,
    /// Its path below [`crate::BASE`].
    pub path: &'static str,
    /// What its caller must be allowed to do; none for everybody.
    pub needs: Option<Scope>,
    /// The statuses that it can answer with, beside those of its guards.
    pub(crate) answers: Vec<Answer>,
    /// Its name.
    pub(crate) id: &'static str,
    /// What it does.
    pub(crate) summary: &'static str,
    pub(crate) query: Option<SchemaOf>,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: Option<SchemaOf>,
    /// Statuses of problems.
    pub(crate) problems: Vec<u16>,
}

/// One way to answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) description: &'static str,
    /// The media type, and the schema where it is JSON.
    pub(crate) content: Option<(&'static str, Option<SchemaOf>)>,
}

/// All routes, without their handlers.
pub fn operations() -> Vec<Operation> {
    crate::routes::all()
        .into_iter()
        .map(|route| route.operation)
        .collect()
}

impl Route {
    /// A route that needs the scope `read`.
    pub(crate) fn get<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Shared>,
        T: 'static,
    {
        Self::new(Method::Get, path, Scope::Read, get(handler))
    }

    /// A route that needs the scope `write`.
    pub(crate) fn post<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Shared>,
        T: 'static,
    {
        Self::new(Method::Post, path, Scope::Write, post(handler))
    }

    /// A route that needs the scope `write`.
    pub(crate) fn patch<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Shared>,
        T: 'static,
    {
        Self::new(Method::Patch, path, Scope::Write, patch(handler))
    }

    /// A route that needs the scope `write`.
    pub(crate) fn delete<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Shared>,
        T: 'static,
    {
        Self::new(Method::Delete, path, Scope::Write, delete(handler))
    }

    fn new(
        method: Method,
        path: &'static str,
        needs: Scope,
        handler: MethodRouter<Shared>,
    ) -> Self {
        Self {
            operation: Operation {
                method,
                path,
                needs: Some(needs),
                answers: Vec::new(),
                id: "",
                summary: "",
                query: None,
                headers: Vec::new(),
                body: None,
                problems: Vec::new(),
            },
            handler,
        }
    }

    /// Its name, and what it does.
    pub(crate) fn is(mut self, id: &'static str, summary: &'static str) -> Self {
        self.operation.id = id;
        self.operation.summary = summary;
        self
    }

    /// Its caller must be allowed to do this.
    pub(crate) fn needs(mut self, scope: Scope) -> Self {
        self.operation.needs = Some(scope);
        self
    }

    /// Everybody may call it.
    pub(crate) fn open_to_all(mut self) -> Self {
        self.operation.needs = None;
        self
    }

    /// It takes a query.
    pub(crate) fn query<T: JsonSchema>(mut self) -> Self {
        self.operation.query = Some(T::json_schema);
        self.problem(422)
    }

    /// It takes a JSON body.
    pub(crate) fn body<T: JsonSchema>(mut self) -> Self {
        self.operation.body = Some(SchemaGenerator::subschema_for::<T>);
        self.problem(400)
            .problem(408)
            .problem(413)
            .problem(415)
            .problem(422)
    }

    /// It looks at a header.
    pub(crate) fn header(mut self, name: &'static str, description: &'static str) -> Self {
        self.operation.headers.push((name, description));
        self
    }

    /// It may answer with JSON.
    pub(crate) fn json<T: JsonSchema>(self, status: u16, description: &'static str) -> Self {
        let schema: SchemaOf = SchemaGenerator::subschema_for::<T>;
        self.answer(
            status,
            description,
            Some(("application/json", Some(schema))),
        )
    }

    /// It may answer with JSON that the client may have already.
    pub(crate) fn tagged<T: JsonSchema>(self, description: &'static str) -> Self {
        self.json::<T>(200, description)
            .header("If-None-Match", "The `ETag` of an earlier answer.")
            .answer(304, "Nothing has changed since.", None)
    }

    /// It may answer with something else.
    pub(crate) fn other(self, media: &'static str, description: &'static str) -> Self {
        self.answer(200, description, Some((media, None)))
    }

    /// It may answer without saying anything.
    pub(crate) fn empty(self, description: &'static str) -> Self {
        self.answer(204, description, None)
    }

    /// It may answer with a problem of this status.
    pub(crate) fn problem(mut self, status: u16) -> Self {
        if !self.operation.problems.contains(&status) {
            self.operation.problems.push(status);
        }
        self
    }

    fn answer(
        mut self,
        status: u16,
        description: &'static str,
        content: Option<(&'static str, Option<SchemaOf>)>,
    ) -> Self {
        self.operation.answers.push(Answer {
            status,
            description,
            content,
        });
        self
    }
}
