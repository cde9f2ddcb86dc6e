"""Online: the BentoML service that ranks products and shows the arguments behind the ranking."""
