#pragma once
// The output of --prompts: a line of JSON for each prompt, in their order.

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace atlas::tools {

/// Every prompt gets its line, whatever happens: each is written as soon as those before it have theirs.
class AnswerLines {
  public:
    AnswerLines(std::vector<std::string> prompts, std::FILE* out) : prompts_(std::move(prompts)), out_(out) {}

    /// `rest`: what follows "prompt" in the line. A prompt that has its line keeps it.
    void put(size_t number, const nlohmann::ordered_json& rest);
    void put_failed(size_t number, const std::string& error);
    /// Every prompt without a line has failed for this reason.
    void fail_rest(const std::string& error);

    size_t n_failed() const { return n_failed_; }
    bool can_write() const { return std::ferror(out_) == 0; }

  private:
    std::vector<std::string> prompts_;
    std::FILE* out_;
    std::map<size_t, std::string> early_;  // lines whose turn has not come
    size_t next_ = 0;
    size_t n_failed_ = 0;
};

}  // namespace atlas::tools
