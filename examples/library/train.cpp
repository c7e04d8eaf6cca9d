// Trains an adapter and generates with it:  train MODEL ROWS.jsonl
#include <iostream>
#include <lowrank/lowrank.h>

int main(int, char** arguments) try {
  lowrank::Session session(arguments[1]);
  session.train("mine", {{"data", arguments[2]}, {"method", "lora"}, {"steps", 20}, {"lr", 5e-3}});
  std::cout << session.generate("Once", {{"adapter", "mine"}, {"max_new_tokens", 20}}).text << '\n';
} catch (const lowrank::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
