#include "runtime/text/stream_decoder.h"

#include <algorithm>

#include "runtime/text/utf8.h"

namespace atlas {
namespace {

// The length of the longest end of `text` that is a proper beginning of `stop`.
size_t begun(std::string_view text, std::string_view stop) {
    for (size_t bytes = std::min(text.size(), stop.size() - 1); bytes > 0; --bytes)
        if (text.ends_with(stop.substr(0, bytes))) return bytes;
    return 0;
}

// Takes whole characters from the front of `pending`, none that reaches past its first `limit` bytes or may yet grow.
// Bytes that can be no character any more become U+FFFD.
std::string take_characters(std::string& pending, size_t limit) {
    std::string text;
    size_t at = 0;
    while (at < limit) {
        const std::string_view rest = std::string_view(pending).substr(at);
        const utf8::Character character = utf8::first(rest);
        if (character.truncated || at + character.bytes > limit) break;
        if (character.valid)
            text.append(rest.substr(0, character.bytes));
        else
            utf8::append(text, utf8::kReplacement);
        at += character.bytes;
    }
    pending.erase(0, at);
    return text;
}

std::string take_all(std::string& pending) {
    std::string text = take_characters(pending, pending.size());
    if (!pending.empty()) utf8::append(text, utf8::kReplacement);  // the beginning of a character that never came
    pending.clear();
    return text;
}

}  // namespace

StreamDecoder::StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, std::vector<std::string> stop_strings)
    : tokenizer_(std::move(tokenizer)), stop_strings_(std::move(stop_strings)) {
    std::erase(stop_strings_, "");
}

std::string StreamDecoder::push(TokenId token) {
    if (stopped_) return {};
    std::string bytes = tokenizer_->piece(token);
    if (bytes.empty()) return {};
    if (first_ && tokenizer_->strips_first_space() && bytes.front() == ' ') bytes.erase(0, 1);
    first_ = false;
    pending_ += bytes;

    size_t stop_at = std::string::npos;
    size_t held = 0;
    for (const std::string& stop : stop_strings_) {
        stop_at = std::min(stop_at, pending_.find(stop));
        held = std::max(held, begun(pending_, stop));
    }
    if (stop_at == std::string::npos) return take_characters(pending_, pending_.size() - held);
    stopped_ = true;
    pending_.erase(stop_at);
    return take_all(pending_);
}

std::string StreamDecoder::finish() { return take_all(pending_); }

}  // namespace atlas
