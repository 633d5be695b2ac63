"""Who is in the picture: people in samples of a shot, followed, told apart, and cut into spans."""
