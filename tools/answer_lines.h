#pragma once
// The output of --prompts: a line of JSON for each prompt, in their order.

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace atlas::tools {

/// Every prompt gets exactly one line, also on errors. A line is written as soon as all lines before it are.
class AnswerLines {
  public:
    AnswerLines(std::vector<std::string> prompts, std::FILE* out) : prompts_(std::move(prompts)), out_(out) {}

    /// `rest`: the members that follow "prompt" in the line. Does nothing for a prompt that has its line.
    void put(size_t number, const nlohmann::ordered_json& rest);
    void put_failed(size_t number, const std::string& error);
    /// Gives every prompt that has no line yet one with this error.
    void fail_rest(const std::string& error);

    /// The prompts whose whole answers could be written, so far.
    size_t n_answered() const { return n_answered_; }
    bool can_write() const { return std::ferror(out_) == 0; }

  private:
    std::vector<std::string> prompts_;
    std::FILE* out_;
    struct Line {
        std::string text;
        bool is_whole = false;
    };
    std::map<size_t, Line> early_;  // lines that wait for earlier ones
    size_t next_ = 0;
    size_t n_answered_ = 0;
};

}  // namespace atlas::tools
