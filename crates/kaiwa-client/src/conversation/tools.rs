//! What the assistant calls: begun, run, and told to it.

use kaiwa_protocol::{
    ConversationItemCreate, FunctionCall, FunctionCallOutput, Item, ItemStatus, MaxOutputTokens,
    Maybe, ResponseCreate, ResponseParams, ToolChoice,
};
use tokio::time::Instant;

use super::budget::{Allowance, Books};
use super::calls::{Call, Late, MOST_CALLS, PATIENCE, State, Told};
use super::config::{OutputMode, Turn};
use super::driver::Driver;
use super::event::{EndReason, Event};
use crate::card::{Pace, SoundCard};
use crate::tools::{Confirmation, failure, result};

/// Bytes of arguments that somebody can be asked about: they have to be seen at once.
const MOST_ASKED: usize = 1000;

/// What the assistant is told to say over a slow call.
const FILLER: &str = "You have just called a tool and wait for its result. Say in a few words, in \
                      the language of the conversation, that you are looking it up. Say nothing \
                      else.";

impl<C: SoundCard> Driver<C> {
    /// The assistant calls a tool. Only a call that is whole is begun: servers tell of those that
    /// were cut short, too.
    pub(super) fn called(&mut self, response: &str, called: FunctionCall) {
        if let Some(ItemStatus::InProgress | ItemStatus::Incomplete) = called.status.value() {
            return;
        }
        let Some(id) = called.call_id.into_value().filter(|id| !id.is_empty()) else {
            let name = called.name;
            self.emit(Event::Warning {
                message: format!("the server calls {name} without an id: it gets no result"),
            });
            return;
        };
        let Some(number) = self.calls.note(response, &id) else {
            return;
        };
        let item = called.id.into_value().unwrap_or_else(|| id.clone());
        self.history
            .called(number, &id, &called.name, &called.arguments);
        self.calls.push(
            response,
            Call {
                number,
                id: Some(id),
                item,
                name: called.name.clone(),
                state: State::Done(String::new()),
            },
        );
        if let Err(why) = self.admit(number, &called.name, &called.arguments) {
            self.settle(number, Err(why));
        }
    }

    /// Runs a call, or asks whether it may run.
    fn admit(&mut self, number: u64, name: &str, arguments: &str) -> Result<(), String> {
        let tools = &self.config.tools;
        let tool = tools
            .find(name)
            .ok_or_else(|| format!("there is no tool called {name}"))?;
        let tool = tool.clone();
        let read = tool.read(arguments)?;
        if !self.calls.has_room() {
            return Err(format!("more than {MOST_CALLS} calls are under way"));
        }
        match tools.confirmation {
            Confirmation::Refuse if !self.calls.may_run(&tool) => {
                Err("nobody is there who could allow it".to_owned())
            }
            Confirmation::Ask if !self.calls.may_run(&tool) => {
                // What is agreed to is what was read, not what was written.
                let arguments = read.to_string();
                if arguments.len() > MOST_ASKED {
                    return Err(format!(
                        "nobody can judge a call of more than {MOST_ASKED} bytes; make it shorter"
                    ));
                }
                let until = Instant::now() + PATIENCE;
                let Some(call) = self.calls.get_mut(number) else {
                    return Ok(());
                };
                call.state = State::Asking {
                    tool,
                    arguments: read,
                    until,
                };
                let (item, name) = (call.item.clone(), call.name.clone());
                self.emit(Event::ToolConfirmation {
                    item,
                    name,
                    arguments,
                });
                Ok(())
            }
            _ => {
                self.start(number, tool, read);
                Ok(())
            }
        }
    }

    fn start(&mut self, number: u64, tool: crate::tools::Tool, arguments: serde_json::Value) {
        let told = arguments.to_string();
        self.calls.start(number, &tool, arguments, Instant::now());
        if let Some(call) = self.calls.get_mut(number) {
            let (item, name) = (call.item.clone(), call.name.clone());
            self.emit(Event::ToolCallStarted {
                item,
                name,
                arguments: Some(told),
            });
        }
    }

    /// Somebody says whether a call may run.
    pub(super) fn confirm(&mut self, item: &str, agreed: bool) {
        for number in self.calls.answered(item, agreed) {
            let Some(call) = self.calls.get_mut(number) else {
                continue;
            };
            let asked = std::mem::replace(&mut call.state, State::Done(String::new()));
            match asked {
                State::Asking {
                    tool, arguments, ..
                } if agreed => {
                    self.start(number, tool, arguments);
                }
                _ => self.settle(number, Err("the user does not allow it".to_owned())),
            }
        }
    }

    /// A call has a result, or an error in its place.
    pub(super) fn settle(&mut self, number: u64, outcome: Result<String, String>) {
        let limit = self.config.tools.max_output;
        let why = outcome.as_ref().err().cloned();
        let output = match outcome {
            Ok(text) => result(text, limit),
            Err(why) => failure(&why, limit),
        };
        self.history.returned(number, &output);
        let Some(call) = self.calls.get_mut(number) else {
            return;
        };
        call.state = State::Done(output);
        let (item, name) = (call.item.clone(), call.name.clone());
        let failed = why.is_some();
        self.emit(Event::ToolCallDone {
            item,
            name,
            failed,
            why,
        });
    }

    /// Tells results, asks for answers to them, and says when to look again.
    pub(super) fn look_after_calls(&mut self, now: Instant) -> Result<Option<Instant>, EndReason> {
        for (number, late) in self.calls.take_late(now) {
            let why = match late {
                Late::Unanswered => {
                    format!(
                        "nobody said within {} s that it may run",
                        PATIENCE.as_secs()
                    )
                }
                Late::Unreturned(limit) => {
                    format!("it did not return within {} s", limit.as_secs_f64())
                }
            };
            self.settle(number, Err(why));
        }
        let deadline = self.calls.deadline();
        if !self.session.ready || self.recovery.is_down() {
            return Ok(deadline);
        }
        self.tell_results()?;
        if self.calls.owes() && self.may_ask() {
            self.turns.owed = true;
        }
        let filler = self.fill(now)?;
        Ok(deadline.into_iter().chain(filler).min())
    }

    fn tell_results(&mut self) -> Result<(), EndReason> {
        while let Some((number, id, output)) = self.calls.next_result() {
            // A session that has forgotten the question needs no answer to it.
            let Some(call_id) = id else {
                continue;
            };
            if let Some(books) = &mut self.books {
                books.typed(&output);
            }
            let item = format!("result_{number:04}");
            let create = ConversationItemCreate {
                item: Item::FunctionCallOutput(FunctionCallOutput {
                    id: Maybe::Value(item.clone()),
                    call_id,
                    output,
                    ..FunctionCallOutput::default()
                }),
                ..ConversationItemCreate::default()
            };
            let event = self.send(create.into())?;
            self.calls.sent(number, Told { item, event });
        }
        self.calls.retire();
        Ok(())
    }

    /// Whether a turn that is spoken now is answered, by whomever the answer is asked for.
    fn answers_speech(&self) -> bool {
        self.session.creates_response
            || (self.config.has_budget() && self.config.turn != Turn::None)
    }

    /// Whether nobody else asks for a response by now, or will.
    fn may_ask(&self) -> bool {
        let turns = &self.turns;
        let spoken = turns.committing || (turns.user_speaking && self.answers_speech());
        let typed = turns.typed.front().is_some_and(|next| next.interrupt);
        !spoken
            && !typed
            && !turns.answer_due
            && turns.active.is_none()
            && turns.requested.is_none()
    }

    /// Lets the assistant say a few words over a slow call, when nobody says anything; else says
    /// when to look again.
    fn fill(&mut self, now: Instant) -> Result<Option<Instant>, EndReason> {
        let in_time = self.card.pace() == Pace::RealTime;
        let speaks = in_time && self.config.output == OutputMode::Audio;
        let Some(patience) = self.config.tools.filler_after.filter(|_| speaks) else {
            return Ok(None);
        };
        let Some(due) = self.calls.filler_due(patience) else {
            return Ok(None);
        };
        if now < due {
            return Ok(Some(due));
        }
        let turns = &self.turns;
        if turns.user_speaking || turns.owed || !turns.typed.is_empty() || !self.is_silent() {
            return Ok(None);
        }
        let books = self.books.as_ref();
        let most = match books.map_or(Allowance::Any, Books::allowance) {
            Allowance::Any => None,
            Allowance::Tokens(tokens) => Some(tokens),
            Allowance::Nothing => return Ok(None),
        };
        if !self.may_ask() {
            return Ok(None);
        }
        if let (Some(books), Some(tokens)) = (&mut self.books, most) {
            books.ask(tokens);
        }
        let told = self.config.instructions.as_deref().unwrap_or_default();
        let create = ResponseCreate {
            response: Maybe::Value(Box::new(ResponseParams {
                instructions: Maybe::Value(format!("{told}\n\n{FILLER}").trim_start().to_owned()),
                tool_choice: Maybe::Value(ToolChoice::None),
                max_output_tokens: most.map(MaxOutputTokens::Count).into(),
                ..ResponseParams::default()
            })),
            ..ResponseCreate::default()
        };
        let id = self.send(create.into())?;
        self.turns.requested = Some(id.clone());
        self.calls.fill(id);
        Ok(None)
    }
}
