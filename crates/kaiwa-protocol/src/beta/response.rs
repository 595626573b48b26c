//! Responses in the beta's flat shape.

use std::collections::BTreeMap;

use super::item;
use super::session::{Format, modalities_of_beta, modalities_of_ga, tokens_of_beta};
use crate::item::Item;
use crate::prompt::Prompt;
use crate::response::{
    ConversationChoice, Response, ResponseAudio, ResponseAudioOutput, ResponseParams,
    ResponseStatus, StatusDetails, Usage,
};
use crate::session::MaxOutputTokens;
use crate::tool::{Tool, ToolChoice};
use crate::voice::{AudioFormat, Modality, Voice};
use crate::wire::{Maybe, Number, object};

object! {
    /// What the beta's `response.create` asks for.
    pub struct FlatResponseParams {
        /// `[Text, Audio]` or `[Text]`.
        pub modalities: Maybe<Vec<Modality>>,
        /// What the model is told.
        pub instructions: Maybe<String>,
        /// The voice.
        pub voice: Maybe<Voice>,
        /// How samples are written.
        pub output_audio_format: Maybe<Format>,
        /// Tools at its disposal.
        pub tools: Maybe<Vec<Tool>>,
        /// Whether it may, must or must not use them.
        pub tool_choice: Maybe<ToolChoice>,
        /// Sampling temperature, 0.6 to 1.2; without effect.
        pub temperature: Maybe<Number>,
        /// The most tokens, 1 to 4096 or `inf`: the name in the schemas of 2025.
        pub max_response_output_tokens: Maybe<MaxOutputTokens>,
        /// The same under the name in the examples and in the schemas of 2024.
        pub max_output_tokens: Maybe<MaxOutputTokens>,
        /// Whether the response goes into the default conversation.
        pub conversation: Maybe<ConversationChoice>,
        /// Up to 16 pairs given back in the response.
        pub metadata: Maybe<BTreeMap<String, String>>,
        /// What the model is to see instead of the conversation.
        pub input: Maybe<Vec<Item>>,
        /// A stored prompt to use.
        pub prompt: Maybe<Prompt>,
    }
}

object! {
    /// A response in the beta, as far as it has come.
    pub struct FlatResponse {
        /// `resp_` and more; left out when empty.
        pub id: String = String::new(),
        /// [`RESPONSE_OBJECT`](crate::RESPONSE_OBJECT).
        pub object: Maybe<String>,
        /// How far it has come.
        pub status: Maybe<ResponseStatus>,
        /// Why it ended so.
        pub status_details: Maybe<StatusDetails>,
        /// Its items, without sound; empty at the beginning.
        pub output: Maybe<Vec<Item>>,
        /// The conversation it goes into; null for an out-of-band response.
        pub conversation_id: Maybe<String>,
        /// What it consists of.
        pub modalities: Maybe<Vec<Modality>>,
        /// The voice.
        pub voice: Maybe<Voice>,
        /// How samples are written.
        pub output_audio_format: Maybe<Format>,
        /// Sampling temperature; without effect.
        pub temperature: Maybe<Number>,
        /// The most tokens.
        pub max_output_tokens: Maybe<MaxOutputTokens>,
        /// What it cost; null until it is done.
        pub usage: Maybe<Usage>,
        /// What the client gave along.
        pub metadata: Maybe<BTreeMap<String, String>>,
    }
}

impl From<FlatResponseParams> for ResponseParams {
    fn from(flat: FlatResponseParams) -> Self {
        let mut max_output_tokens = flat.max_response_output_tokens;
        max_output_tokens.update(flat.max_output_tokens);
        Self {
            conversation: flat.conversation,
            metadata: flat.metadata,
            input: flat.input.map(items_to_ga),
            output_modalities: modalities_of_beta(flat.modalities),
            instructions: flat.instructions,
            tools: flat.tools,
            tool_choice: flat.tool_choice,
            max_output_tokens: tokens_of_beta(max_output_tokens),
            prompt: flat.prompt,
            audio: audio_of_beta(flat.output_audio_format, flat.voice),
            extra: flat.extra,
            ..Self::default()
        }
    }
}

impl From<&ResponseParams> for FlatResponseParams {
    fn from(params: &ResponseParams) -> Self {
        let (output_audio_format, voice) = audio_of_ga(&params.audio);
        Self {
            modalities: modalities_of_ga(&params.output_modalities),
            instructions: params.instructions.clone(),
            voice,
            output_audio_format,
            tools: params.tools.clone(),
            tool_choice: params.tool_choice.clone(),
            max_response_output_tokens: params.max_output_tokens.clone(),
            conversation: params.conversation.clone(),
            metadata: params.metadata.clone(),
            input: params
                .input
                .as_ref()
                .map(|items| items.iter().map(item::to_beta).collect()),
            prompt: params.prompt.clone(),
            extra: params.extra.clone(),
            ..Self::default()
        }
    }
}

impl From<FlatResponse> for Response {
    fn from(flat: FlatResponse) -> Self {
        Self {
            object: flat.object,
            id: flat.id,
            status: flat.status,
            status_details: flat.status_details,
            output: flat.output.map(items_to_ga),
            conversation_id: flat.conversation_id,
            output_modalities: modalities_of_beta(flat.modalities),
            max_output_tokens: tokens_of_beta(flat.max_output_tokens),
            audio: audio_of_beta(flat.output_audio_format, flat.voice),
            usage: flat.usage,
            metadata: flat.metadata,
            extra: flat.extra,
        }
    }
}

impl From<&Response> for FlatResponse {
    /// The response as a server writes it, but for the temperature.
    fn from(response: &Response) -> Self {
        let (output_audio_format, voice) = audio_of_ga(&response.audio);
        Self {
            id: response.id.clone(),
            object: response.object.clone(),
            status: response.status.clone(),
            status_details: response.status_details.clone(),
            output: response
                .output
                .as_ref()
                .map(|items| items.iter().map(item::from_server).collect()),
            conversation_id: response.conversation_id.clone(),
            modalities: modalities_of_ga(&response.output_modalities),
            voice,
            output_audio_format,
            temperature: Maybe::Absent,
            max_output_tokens: response.max_output_tokens.clone(),
            usage: response.usage.clone(),
            metadata: response.metadata.clone(),
            extra: response.extra.clone(),
        }
    }
}

fn items_to_ga(mut items: Vec<Item>) -> Vec<Item> {
    items.iter_mut().for_each(item::to_ga);
    items
}

fn audio_of_beta(format: Maybe<Format>, voice: Maybe<Voice>) -> Maybe<ResponseAudio> {
    if format.is_absent() && voice.is_absent() {
        return Maybe::Absent;
    }
    Maybe::Value(ResponseAudio {
        output: Maybe::Value(ResponseAudioOutput {
            format: format.map(AudioFormat::from),
            voice,
            ..ResponseAudioOutput::default()
        }),
        ..ResponseAudio::default()
    })
}

fn audio_of_ga(audio: &Maybe<ResponseAudio>) -> (Maybe<Format>, Maybe<Voice>) {
    let output = audio.value().and_then(|audio| audio.output.value());
    output.map_or((Maybe::Absent, Maybe::Absent), |output| {
        (
            output.format.as_ref().map(Format::from),
            output.voice.clone(),
        )
    })
}
