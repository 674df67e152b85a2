//! Splits a command line into words and the marks that join commands.

use std::iter::Peekable;
use std::str::Chars;

/// How a command is joined to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    /// `&&`
    And,
    /// `||`
    Or,
    /// `;` or a line's end
    Then,
    /// `|`
    Pipe,
    /// `&`
    Background,
}

/// A word, quotes removed, or a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Join(Join),
    /// The command's output goes into a file.
    Elsewhere,
}

/// A line's tokens.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub(super) tokens: Vec<Token>,
    /// Whether commands stand in brackets.
    pub(super) has_groups: bool,
}

/// Splits a line; none when it holds what is not followed (an unfinished quotation, a function).
pub(super) fn tokens(text: &str) -> Option<Tokens> {
    let mut lexer = Lexer {
        rest: text.chars().peekable(),
        word: None,
        is_target: false,
        here: Vec::new(),
        found: Tokens::default(),
    };
    while let Some(char) = lexer.rest.next() {
        lexer.take(char)?;
    }
    lexer.end();
    Some(lexer.found)
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    word: Option<String>,
    /// Whether the next word is where a redirection goes.
    is_target: bool,
    /// The words that end the here documents of this line.
    here: Vec<String>,
    found: Tokens,
}

impl Lexer<'_> {
    fn take(&mut self, char: char) -> Option<()> {
        match char {
            '\'' => self.single_quoted()?,
            '"' => self.double_quoted()?,
            '\\' => match self.rest.next()? {
                '\n' => {}
                char => self.push(char),
            },
            '#' if self.word.is_none() => {
                while self.rest.next_if(|char| *char != '\n').is_some() {}
            }
            ' ' | '\t' | '\r' => self.end(),
            '\n' => {
                self.join(Join::Then);
                self.skip_here_documents();
            }
            ';' => self.join(Join::Then),
            '&' if self.rest.next_if_eq(&'>').is_some() => {
                self.end();
                self.rest.next_if_eq(&'>');
                self.found.tokens.push(Token::Elsewhere);
                self.is_target = true;
            }
            '&' if self.rest.next_if_eq(&'&').is_some() => self.join(Join::And),
            '&' => self.join(Join::Background),
            '|' if self.rest.next_if_eq(&'|').is_some() => self.join(Join::Or),
            '|' => {
                self.rest.next_if_eq(&'&');
                self.join(Join::Pipe);
            }
            '>' | '<' => self.redirect(char)?,
            '(' if self.word.is_none() => self.found.has_groups = true,
            // `name() …`
            '(' => return None,
            ')' => self.end(),
            '`' => self.substituted('`')?,
            '$' if self.rest.next_if_eq(&'(').is_some() => self.substituted(')')?,
            char => self.push(char),
        }
        Some(())
    }

    fn push(&mut self, char: char) {
        self.word.get_or_insert_default().push(char);
    }

    fn end(&mut self) {
        if let Some(word) = self.word.take()
            && !std::mem::take(&mut self.is_target)
        {
            self.found.tokens.push(Token::Word(word));
        }
    }

    fn join(&mut self, join: Join) {
        self.end();
        self.found.tokens.push(Token::Join(join));
    }

    fn single_quoted(&mut self) -> Option<()> {
        let word = self.word.get_or_insert_default();
        loop {
            match self.rest.next()? {
                '\'' => return Some(()),
                char => word.push(char),
            }
        }
    }

    fn double_quoted(&mut self) -> Option<()> {
        let word = self.word.get_or_insert_default();
        loop {
            match self.rest.next()? {
                '"' => return Some(()),
                '\\' => word.push(self.rest.next()?),
                char => word.push(char),
            }
        }
    }

    /// What is put in for a command's output is part of a word, whatever it is.
    fn substituted(&mut self, close: char) -> Option<()> {
        let word = self.word.get_or_insert_default();
        word.push('$');
        let mut depth = 1_u32;
        while depth > 0 {
            match self.rest.next()? {
                char if char == close => depth -= 1,
                '(' => depth += 1,
                _ => {}
            }
        }
        Some(())
    }

    fn redirect(&mut self, char: char) -> Option<()> {
        // The number before a redirection belongs to it.
        let number = self
            .word
            .take_if(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
        self.end();
        if char == '<' && self.rest.next_if_eq(&'<').is_some() {
            if self.rest.next_if_eq(&'<').is_some() {
                self.is_target = true;
                return Some(());
            }
            self.rest.next_if_eq(&'-');
            let mut end = String::new();
            while self.rest.next_if(|char| *char == ' ').is_some() {}
            while let Some(char) = self
                .rest
                .next_if(|char| !char.is_whitespace() && !";|&<>)".contains(*char))
            {
                end.push(char);
            }
            self.here.push(end.replace(['\'', '"', '\\'], ""));
            return Some(());
        }
        // What a process substitution runs is not followed.
        if self.rest.peek() == Some(&'(') {
            return None;
        }
        let next = self.rest.next_if(|next| matches!(next, '>' | '&' | '|'));
        let is_output = char == '>' && number.is_none_or(|number| number == "1");
        if is_output && next != Some('&') {
            self.found.tokens.push(Token::Elsewhere);
        }
        self.is_target = true;
        Some(())
    }

    /// Text that is handed to a command is no command.
    fn skip_here_documents(&mut self) {
        for end in std::mem::take(&mut self.here) {
            while self.rest.peek().is_some() {
                let mut line = String::new();
                while let Some(char) = self.rest.next_if(|char| *char != '\n') {
                    line.push(char);
                }
                self.rest.next();
                if line.trim_start_matches('\t') == end {
                    break;
                }
            }
        }
    }
}
