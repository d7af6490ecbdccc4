#include "tools/answer_lines.h"

#include "runtime/base/json_text.h"

namespace atlas::tools {

void AnswerLines::put(size_t number, const nlohmann::ordered_json& rest) {
    if (number < next_ || early_.contains(number)) return;
    nlohmann::ordered_json line{{"prompt", prompts_[number]}};
    line.update(rest);
    early_[number] = {json_text(line) + "\n", line.value("finish", "") != "failed"};
    size_t n_whole = 0;
    for (auto it = early_.find(next_); it != early_.end(); it = early_.find(++next_)) {
        std::fwrite(it->second.text.data(), 1, it->second.text.size(), out_);
        n_whole += it->second.is_whole ? 1 : 0;
        early_.erase(it);
    }
    std::fflush(out_);
    if (can_write()) n_answered_ += n_whole;
}

void AnswerLines::put_failed(size_t number, const std::string& error) {
    put(number, {{"answer", ""}, {"finish", "failed"}, {"error", error}});
}

void AnswerLines::fail_rest(const std::string& error) {
    for (size_t number = next_; number < prompts_.size(); ++number) put_failed(number, error);
}

}  // namespace atlas::tools
