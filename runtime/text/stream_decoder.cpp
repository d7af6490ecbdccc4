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

// The bytes at the end that may yet become a character.
size_t unfinished_bytes(std::string_view text) {
    for (size_t bytes = 1; bytes <= std::min<size_t>(3, text.size()); ++bytes) {
        const std::string_view tail = text.substr(text.size() - bytes);
        if (utf8::first(tail).truncated) return bytes;
    }
    return 0;
}

std::string with_replacements(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        const utf8::Character character = utf8::first(text);
        if (character.valid)
            result.append(text.substr(0, character.bytes));
        else
            utf8::append(result, utf8::kReplacement);
        text.remove_prefix(character.bytes);
    }
    return result;
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
    size_t held = unfinished_bytes(pending_);
    for (const std::string& stop : stop_strings_) {
        stop_at = std::min(stop_at, pending_.find(stop));
        held = std::max(held, begun(pending_, stop));
    }
    if (stop_at != std::string::npos) {
        stopped_ = true;
        std::string text = with_replacements(std::string_view(pending_).substr(0, stop_at));
        pending_.clear();
        return text;
    }
    const std::string_view certain = std::string_view(pending_).substr(0, pending_.size() - held);
    // A stop string may begin inside a character.
    const size_t taken = certain.size() - unfinished_bytes(certain);
    std::string text = with_replacements(certain.substr(0, taken));
    pending_.erase(0, taken);
    return text;
}

std::string StreamDecoder::finish() {
    std::string text = with_replacements(pending_);
    pending_.clear();
    return text;
}

}  // namespace atlas
